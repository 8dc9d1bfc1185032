//! The ratelimit filter, made to crash when a request says so: what a crash leaves of its counts, under a real Envoy.

use std::time::Duration;

use filter_core::{Attribute, Chores, Filter, Invalid, Metrics, Outcome, Phase, Ports, View};
use ratelimit::{Memo, RateLimit};

/// The ratelimit filter, but for requests with `x-probe: panic`.
struct Brittle(RateLimit);

impl Filter for Brittle {
    const NAME: &'static str = "brittle";
    type Memo = Memo;

    fn configure(document: &[u8], metrics: &mut Metrics) -> Result<Self, Invalid> {
        RateLimit::configure(document, metrics).map(Self)
    }

    fn attributes(&self, phase: Phase) -> Vec<Attribute> {
        self.0.attributes(phase)
    }

    fn on_request(&self, view: &View<'_>, memo: &mut Memo, ports: &Ports<'_>) -> Outcome {
        assert!(!view.request().copies("x-probe").any(|what| what == b"panic"), "as asked");
        self.0.on_request(view, memo, ports)
    }

    fn on_response(&self, view: &View<'_>, memo: &mut Memo, ports: &Ports<'_>) -> Outcome {
        self.0.on_response(view, memo, ports)
    }

    fn on_log(&self, view: &View<'_>, memo: &mut Memo, ports: &Ports<'_>) -> Outcome {
        self.0.on_log(view, memo, ports)
    }

    fn period(&self) -> Option<Duration> {
        self.0.period()
    }

    fn on_tick(&self, ports: &Ports<'_>) -> Chores {
        self.0.on_tick(ports)
    }
}

filter_host::plugin!(Brittle, Response, Log);
