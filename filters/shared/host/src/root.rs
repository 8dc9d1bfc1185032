//! One plugin: configured once, then asked for every stream, and between them whenever time has passed.

use std::cell::RefCell;
use std::marker::PhantomData;
use std::rc::Rc;

use filter_core::{Answer, Chores, Errand, Filter, Invalid, Metrics, Phase};
use proxy_wasm::traits::{Context, HttpContext, RootContext};
use proxy_wasm::types::ContextType;

use crate::abi::{self, Buffer};
use crate::cel::Conditions;
use crate::exchange::Plan;
use crate::metrics::Stats;
use crate::stream::Stream;
use crate::waiting::Waiting;
use crate::{answer, apply, logger, world};

/// How many background calls are sent at one time, those that take the place of one that failed included.
const MAX_CALLS: usize = 64;

/// Registers the filter with the SDK; the body of a module's `_initialize`.
pub fn start<F: Filter>() {
    logger::start();
    proxy_wasm::set_root_context(|id| {
        Box::new(Root::<F> { id, plugin: None, filter: PhantomData })
    });
}

/// A configured filter, and how to feed it.
pub(crate) struct Plugin<F: Filter> {
    pub(crate) filter: F,
    pub(crate) stats: Stats,
    pub(crate) request: Plan,
    pub(crate) response: Plan,
    pub(crate) log: Plan,
    pub(crate) waiting: Waiting<F>,
    /// The tokens of the background calls that are not answered yet.
    errands: RefCell<Vec<(u32, Errand)>>,
}

impl<F: Filter> Plugin<F> {
    /// Counts, sends, and asks again about held requests. The effective context is another one afterwards.
    fn perform(&self, mut chores: Chores, due: bool) {
        for _ in 0..MAX_CALLS {
            let Some((errand, callout)) = chores.calls.pop() else { break };
            match apply::call(&callout) {
                Ok(token) => self.errands.borrow_mut().push((token, errand)),
                Err(_) => {
                    let ports = world::ports();
                    chores.extend(self.filter.on_fetched(errand, &Answer::Failure, &ports));
                }
            }
        }
        for count in chores.counts {
            self.stats.count(count);
        }
        if due || chores.resume {
            self.waiting.resume(self, world::ports().clock.monotonic(), chores.resume);
        }
    }

    fn errand(&self, token: u32) -> Option<Errand> {
        let mut errands = self.errands.borrow_mut();
        let position = errands.iter().position(|(own, _)| *own == token)?;
        Some(errands.swap_remove(position).1)
    }
}

struct Root<F: Filter> {
    id: u32,
    plugin: Option<Rc<Plugin<F>>>,
    filter: PhantomData<F>,
}

impl<F: Filter> Root<F> {
    /// The calls that follow are the plugin's own again.
    fn be_effective(&self) {
        if let Err(status) = abi::set_effective_context(self.id) {
            log::error!("{}: context not set: {status:?}", F::NAME);
        }
    }
}

impl<F: Filter> Context for Root<F> {
    fn on_http_call_response(&mut self, token: u32, headers: usize, body: usize, _: usize) {
        let Some(plugin) = &self.plugin else { return };
        let answer = answer::read(headers, body);
        match plugin.errand(token) {
            Some(errand) => {
                let chores = plugin.filter.on_fetched(errand, &answer, &world::ports());
                plugin.perform(chores, false);
            }
            None => plugin.waiting.answer(plugin, token, &answer),
        }
        self.be_effective();
    }
}

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

    fn on_tick(&mut self) {
        let Some(plugin) = &self.plugin else { return };
        let chores = plugin.filter.on_tick(&world::ports());
        plugin.perform(chores, true);
        self.be_effective();
    }

    fn create_http_context(&self, id: u32) -> Option<Box<dyn HttpContext>> {
        Some(Box::new(Stream::new(id, self.plugin.clone())))
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
    let conditions = Conditions::compile(filter.expressions())?;
    let late_conditions = Conditions::compile(filter.late_expressions())?;
    let period = filter.period().map(|period| {
        // Zero would mean never.
        u32::try_from(period.as_millis()).unwrap_or(u32::MAX).max(1)
    });
    let ticking = period.is_some_and(|period| match abi::set_tick_period(period) {
        Ok(()) => true,
        Err(status) => {
            log::error!("{}: the proxy refuses to tell the time: {status:?}", F::NAME);
            false
        }
    });
    Ok(Plugin {
        waiting: Waiting::new(ticking),
        errands: RefCell::default(),
        request: Plan::of(&filter, Phase::Request).judging(conditions),
        response: Plan::of(&filter, Phase::Response),
        log: Plan::of(&filter, Phase::Log).judging(late_conditions),
        stats: Stats::new(metrics),
        filter,
    })
}
