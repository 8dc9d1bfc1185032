//! A filter that does nothing: the floor of every measurement.

use filter_core::{Filter, Invalid, Metrics, Outcome, Ports, View};

/// Does nothing.
struct Noop;

impl Filter for Noop {
    const NAME: &'static str = "noop";
    type Memo = ();

    fn configure(_: &[u8], _: &mut Metrics) -> Result<Self, Invalid> {
        Ok(Self)
    }

    fn on_request(&self, _: &View<'_>, (): &mut (), _: &Ports<'_>) -> Outcome {
        Outcome::pass()
    }
}

filter_host::plugin!(Noop);
