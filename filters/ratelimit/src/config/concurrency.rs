//! How many at the same time.

use std::rc::Rc;
use std::time::Duration;

use filter_core::Invalid;
use filter_core::config::{Object, Span, Whole};

use super::Concurrency;
use super::raw::{RawConcurrency, RawOverride};
use super::rule::overrides;
use crate::gcra::ticks;
use crate::in_flight::Fleet;
use filter_core::matching::NonEmpty;

const MAX_REQUESTS: u64 = 1_000_000;
/// As Kubernetes' leader election has it.
const LEASE: Duration = Duration::from_secs(15);
const SHORTEST_LEASE: Duration = Duration::from_secs(1);
const LONGEST_LEASE: Duration = Duration::from_secs(3600);

impl RawConcurrency {
    /// The limit of a rule whose key has so many parts.
    pub(super) fn compile(
        self,
        others: Option<NonEmpty<Object<RawOverride>>>,
        parts: usize,
        replicas: u64,
    ) -> Result<Concurrency, Invalid> {
        let under = |invalid: Invalid| invalid.under("/concurrency");
        let most = max_requests(self.max_requests, replicas).map_err(under)?;
        let lease = self.lease_duration.map_or(LEASE, |Span(lease)| lease);
        if !(SHORTEST_LEASE..=LONGEST_LEASE).contains(&lease) {
            let expected = "a duration from 1s to 1h";
            let found = format!("{lease:?}");
            return Err(Invalid::at("/concurrency/leaseDuration", expected, found));
        }
        let one = |raw: RawOverride| match raw {
            RawOverride {
                concurrency: Some(Object(own)),
                token_bucket: None,
                limits: None,
                ..
            } => {
                if own.lease_duration.is_some() {
                    let expected = "the rule's own";
                    return Err(Invalid::at("/concurrency/leaseDuration", expected, "another"));
                }
                max_requests(own.max_requests, replicas).map_err(under)
            }
            _ => Err(Invalid::at("", "`concurrency`, as the rule has it", "another limit or none")),
        };
        let overrides = overrides(others, parts, one)?;
        Ok(Concurrency { most, overrides, fleet: Rc::new(Fleet::new(ticks(lease))) })
    }
}

/// The share of one replica.
fn max_requests(Whole(most): Whole, replicas: u64) -> Result<u64, Invalid> {
    if !(1..=MAX_REQUESTS).contains(&most) {
        let expected = format!("a whole number from 1 to {MAX_REQUESTS}");
        return Err(Invalid::at("/maxRequests", expected, most.to_string()));
    }
    most.checked_div(replicas).filter(|share| *share > 0).ok_or_else(|| {
        let expected = format!("at least one for each of {replicas} replicas");
        Invalid::at("/maxRequests", expected, most.to_string())
    })
}
