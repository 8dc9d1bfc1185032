//! One plugin: a filter that was configured, and how to feed it.

use std::cell::RefCell;

use filter_core::{Callout, Errand, Filter, Invalid, Metrics, Phase};
use rustc_hash::FxHashMap;

use crate::abi::{self, Buffer, Status};
use crate::apply;
use crate::cel::Conditions;
use crate::exchange::Plan;
use crate::metrics::Stats;
use crate::waiting::Waiting;

/// A configured filter, and how to feed it.
pub(crate) struct Plugin<F: Filter> {
    pub(crate) filter: F,
    pub(crate) stats: Stats,
    pub(crate) request: Plan,
    pub(crate) response: Plan,
    pub(crate) log: Plan,
    pub(crate) waiting: Waiting,
    /// Who made the calls that are not answered yet, by their tokens.
    calls: RefCell<FxHashMap<u32, Caller>>,
}

/// Who waits for the answer to a call.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Caller {
    /// The filter itself, in its background.
    Background(Errand),
    /// The exchange with this context.
    Exchange(u32),
}

impl<F: Filter> Plugin<F> {
    /// Configures a filter. The root context must be the current one.
    ///
    /// # Errors
    /// What is wrong with the configuration, and where.
    pub(crate) fn configure(size: usize) -> Result<Self, Invalid> {
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
        Ok(Self {
            waiting: Waiting::new(ticking),
            calls: RefCell::default(),
            request: Plan::of(&filter, Phase::Request).judging(conditions),
            response: Plan::of(&filter, Phase::Response),
            log: Plan::of(&filter, Phase::Log).judging(late_conditions),
            stats: Stats::new(metrics),
            filter,
        })
    }

    /// Sends a request to a cluster of the proxy, and returns the token that its answer will bear.
    ///
    /// # Errors
    /// When the proxy does not know the cluster or cannot send.
    pub(crate) fn call(&self, callout: &Callout, caller: Caller) -> Result<u32, Status> {
        let token = apply::call(callout)?;
        self.calls.borrow_mut().insert(token, caller);
        Ok(token)
    }

    /// Who made the call with this token, which is answered now.
    pub(crate) fn caller(&self, token: u32) -> Option<Caller> {
        self.calls.borrow_mut().remove(&token)
    }
}
