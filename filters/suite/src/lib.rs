//! The suite filter: telemetry, authz, ratelimit and canary in one module and one pass over the request.
//!
//! It decides nothing itself. A request goes through the four in that order, each seeing the headers as those before it
//! leave them, and stops at the first that does not let it go on.

mod chain;
mod config;
mod row;

use std::time::Duration;

use authz::Authz;
use canary::Canary;
use filter_core::{
    Answer, Attribute, Chores, Errand, Filter, Invalid, Metrics, Outcome, Phase, Ports, Stated,
    View,
};
use ratelimit::RateLimit;
use telemetry::Telemetry;

use chain::{Chain, End, Link};
use row::Row;

/// The four, as one filter.
pub struct Suite(Row<Four>);

/// The order of the chain. Telemetry comes first, so that every request has its route, also one that is refused; canary
/// comes last, so that no request is assigned that does not go on.
type Four = Link<Telemetry, Link<Authz, Link<RateLimit, Link<Canary, End>>>>;

/// What the four keep of one exchange.
#[derive(Default)]
pub struct Memo(<Four as Chain>::Memo);

impl Filter for Suite {
    const NAME: &'static str = "suite";

    type Memo = Memo;

    fn configure(document: &[u8], metrics: &mut Metrics) -> Result<Self, Invalid> {
        config::chain(document, metrics).map(|chain| Self(Row(chain)))
    }

    fn attributes(&self, phase: Phase) -> Vec<Attribute> {
        self.0.attributes(phase)
    }

    fn expressions(&self) -> Vec<Stated> {
        let mut listed = Vec::new();
        self.0.0.expressions(&mut listed);
        listed
    }

    fn late_expressions(&self) -> Vec<Stated> {
        let mut listed = Vec::new();
        self.0.0.late_expressions(&mut listed);
        listed
    }

    fn on_request(&self, view: &View<'_>, memo: &mut Memo, ports: &Ports<'_>) -> Outcome {
        self.0.on_request(*view, &mut memo.0, ports)
    }

    fn on_answer(
        &self,
        view: &View<'_>,
        answer: &Answer,
        memo: &mut Memo,
        ports: &Ports<'_>,
    ) -> Outcome {
        self.0.on_answer(*view, answer, &mut memo.0, ports)
    }

    fn heeds(&self, memo: &Memo, phase: Phase) -> bool {
        self.0.0.heeds(&memo.0, phase)
    }

    fn on_response(&self, view: &View<'_>, memo: &mut Memo, ports: &Ports<'_>) -> Outcome {
        self.0.on_response(*view, &mut memo.0, ports)
    }

    fn on_log(&self, view: &View<'_>, memo: &mut Memo, ports: &Ports<'_>) -> Outcome {
        self.0.on_log(*view, &mut memo.0, ports)
    }

    fn period(&self) -> Option<Duration> {
        self.0.0.period()
    }

    fn on_tick(&self, ports: &Ports<'_>) -> Chores {
        self.0.0.on_tick(ports)
    }

    fn on_fetched(&self, errand: Errand, answer: &Answer, ports: &Ports<'_>) -> Chores {
        self.0.0.on_fetched(errand, answer, ports)
    }
}

#[cfg(test)]
mod tests;
