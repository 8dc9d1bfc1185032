//! Plays requests to a module, as a proxy would.

use std::time::Duration;

use cases::Request;
use wasmi::{Config, Engine, Error, Instance, Linker, Memory, Module, Store, Val};

use crate::branches::COUNTS;
use crate::proxy::{self, Lines, Proxy};

/// When it is, in seconds since the epoch: in 2026.
const BEGIN: Duration = Duration::from_secs(1_780_000_000);
const DAY: Duration = Duration::from_secs(24 * 3600);
/// The context of the plugin.
const ROOT: i32 = 1;
/// `Action::Continue` of the ABI.
const CONTINUE: i32 = 0;

/// A module with a configuration.
pub(crate) struct Player {
    store: Store<Proxy>,
    instance: Instance,
    counts: Memory,
    /// The last context.
    context: i32,
}

impl Player {
    /// A player of a module that counts, or none if it refuses the configuration.
    pub(crate) fn configured(module: &[u8], configuration: &str) -> Result<Option<Self>, String> {
        Self::started(module, configuration).map_err(|error| error.to_string())
    }

    fn started(module: &[u8], configuration: &str) -> Result<Option<Self>, Error> {
        let mut config = Config::default();
        config.wasm_multi_memory(true);
        let engine = Engine::new(&config);
        let module = Module::new(&engine, module)?;
        let mut store = Store::new(&engine, Proxy::configured(configuration, BEGIN));
        let instance = linked(&engine, &module)?.instantiate_and_start(&mut store, &module)?;
        let counts = instance.get_memory(&store, COUNTS);
        let counts = counts.ok_or_else(|| Error::new("the module does not count"))?;
        let mut player = Self { store, instance, counts, context: ROOT };
        player.call("_initialize", &[])?;
        player.call("proxy_on_context_create", &[ROOT, 0])?;
        let size = i32::try_from(player.store.data().configuration.len()).unwrap_or(i32::MAX);
        let accepted = player.call("proxy_on_configure", &[ROOT, size])?;
        Ok((accepted == Some(1)).then_some(player))
    }

    /// Lets a day pass, and returns when it is, in seconds since the epoch.
    pub(crate) fn tomorrow(&mut self) -> u64 {
        let now = &mut self.store.data_mut().now;
        *now += DAY;
        now.as_secs()
    }

    /// Plays a request from its first callback to the last.
    pub(crate) fn play(&mut self, request: &Request) -> Result<(), String> {
        self.exchange(request).map_err(|error| error.to_string())
    }

    fn exchange(&mut self, request: &Request) -> Result<(), Error> {
        self.context += 1;
        let context = self.context;
        let proxy = self.store.data_mut();
        (proxy.request, proxy.response) = (sent(request), answered(request));
        proxy.replied = false;
        self.call("proxy_on_context_create", &[context, ROOT])?;
        let action = self.call("proxy_on_request_headers", &[context, 0, 1])?;
        if action == Some(CONTINUE) || self.store.data().replied {
            self.call("proxy_on_response_headers", &[context, 0, 1])?;
        }
        self.call("proxy_on_log", &[context])?;
        self.call("proxy_on_delete", &[context])?;
        Ok(())
    }

    /// What was counted, as it lies in the module's memory.
    pub(crate) fn counts(&self) -> Vec<u8> {
        self.counts.data(&self.store).to_vec()
    }

    /// Begins to count anew.
    pub(crate) fn forget(&mut self) {
        self.counts.data_mut(&mut self.store).fill(0);
    }

    /// Makes a callback, if the module exports it, and returns what it returns.
    fn call(&mut self, name: &str, arguments: &[i32]) -> Result<Option<i32>, Error> {
        let Some(function) = self.instance.get_func(&self.store, name) else { return Ok(None) };
        let mut results = vec![Val::I32(0); function.ty(&self.store).results().len()];
        let arguments: Vec<Val> = arguments.iter().copied().map(Val::I32).collect();
        function.call(&mut self.store, &arguments, &mut results)?;
        Ok(results.first().and_then(Val::i32))
    }
}

/// Every import, answered by its name.
fn linked(engine: &Engine, module: &Module) -> Result<Linker<Proxy>, Error> {
    let mut linker = Linker::new(engine);
    for import in module.imports() {
        let Some(kind) = import.ty().func() else { continue };
        let name = import.name().to_owned();
        linker.func_new(
            import.module(),
            import.name(),
            kind.clone(),
            move |caller, arguments, results| {
                let status = proxy::answer(caller, &name, arguments)?;
                if let Some(result) = results.first_mut() {
                    *result = Val::I32(status.cast_signed());
                }
                Ok(())
            },
        )?;
    }
    Ok(linker)
}

/// A request as a proxy has it.
fn sent(request: &Request) -> Lines {
    let proxied = [
        (":authority", request.host.as_str()),
        (":path", &request.path),
        (":method", &request.method),
        (":scheme", "http"),
    ];
    let rest = request.headers.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    let added =
        [("x-forwarded-proto", "http"), ("x-request-id", "6f0b5f0e-3d0e-4e36-9b6a-8e3f1d1c2b3a")];
    let lines = proxied.into_iter().chain(rest).chain(added);
    lines.map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned())).collect()
}

/// The answer of an upstream.
fn answered(request: &Request) -> Lines {
    let status = request.upstream_status().to_string();
    let lines = [
        (":status", status.as_str()),
        ("content-type", "text/plain"),
        ("content-length", "3"),
        ("date", "Fri, 27 Nov 2026 20:00:00 GMT"),
        ("server", "envoy"),
        ("x-envoy-upstream-service-time", "0"),
    ];
    lines.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}
