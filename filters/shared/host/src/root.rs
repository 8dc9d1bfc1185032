//! One plugin: configured once, then asked for every stream.

use std::marker::PhantomData;
use std::rc::Rc;

use filter_core::{Filter, Invalid, Metrics, Phase};
use proxy_wasm::traits::{Context, HttpContext, RootContext};
use proxy_wasm::types::ContextType;

use crate::abi::{self, Buffer};
use crate::exchange::Plan;
use crate::logger;
use crate::metrics::Stats;
use crate::stream::Stream;

/// Registers the filter with the SDK; the body of a module's `_initialize`.
pub fn start<F: Filter>() {
    logger::start();
    proxy_wasm::set_root_context(|_| Box::new(Root::<F> { plugin: None, filter: PhantomData }));
}

/// A configured filter, and how to feed it.
pub(crate) struct Plugin<F> {
    pub(crate) filter: F,
    pub(crate) stats: Stats,
    pub(crate) request: Plan,
    pub(crate) response: Plan,
    pub(crate) log: Plan,
}

struct Root<F: Filter> {
    plugin: Option<Rc<Plugin<F>>>,
    filter: PhantomData<F>,
}

impl<F: Filter> Context for Root<F> {}

impl<F: Filter> RootContext for Root<F> {
    fn on_configure(&mut self, size: usize) -> bool {
        match configure::<F>(size) {
            Ok(plugin) => {
                self.plugin = Some(Rc::new(plugin));
                true
            }
            Err(invalid) => {
                log::error!("{}: configuration refused {invalid}", F::NAME);
                false
            }
        }
    }

    fn create_http_context(&self, _: u32) -> Option<Box<dyn HttpContext>> {
        Some(Box::new(Stream::new(self.plugin.clone())))
    }

    fn get_type(&self) -> Option<ContextType> {
        Some(ContextType::HttpContext)
    }
}

fn configure<F: Filter>(size: usize) -> Result<Plugin<F>, Invalid> {
    // The proxy answers a read of nothing with an error.
    let document = if size == 0 {
        Vec::new()
    } else {
        abi::buffer(Buffer::PluginConfiguration, size).map_err(|status| {
            Invalid::at("", "a configuration", format!("status {} from the proxy", status.0))
        })?
    };
    let mut metrics = Metrics::default();
    let filter = F::configure(&document, &mut metrics)?;
    Ok(Plugin {
        request: Plan::of(&filter, Phase::Request),
        response: Plan::of(&filter, Phase::Response),
        log: Plan::of(&filter, Phase::Log),
        stats: Stats::new(metrics),
        filter,
    })
}
