//! Whether a request is worth a line in the access log, and why: `wasm.log`.

use std::hash::Hasher;
use std::time::Duration;

use filter_core::{Copies, Headers};
use siphasher::sip::SipHasher13;

use crate::end::End;
use crate::outcome::Ending;

/// What is worth a line.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Worth {
    /// From how long on a request is slow; the threshold of its route, if that has one.
    pub(crate) slow: Option<Duration>,
    /// How many in a million of the others.
    pub(crate) sample: u32,
}

/// What [`Worth::sample`] is out of.
pub(crate) const MILLION: u32 = 1_000_000;

impl Worth {
    /// Whether the request is in the sample, by its `x-request-id` alone, so that all proxies on its way say the same. One
    /// without an id is not.
    #[inline(never)]
    pub(crate) fn samples(&self, request: Headers<'_>) -> bool {
        let Copies::One(id) = request.only("x-request-id") else { return false };
        let mut hasher = SipHasher13::new();
        // The 13th digit of a UUID is its version, which Envoy writes its own decisions on traces into.
        let digits = id.iter().enumerate().filter(|(position, _)| *position != 14);
        digits.for_each(|(_, byte)| hasher.write_u8(*byte));
        let place = hasher.finish().checked_rem(MILLION.into()).unwrap_or_default();
        place < u64::from(self.sample)
    }

    /// Why it is worth a line, if it is.
    pub(crate) fn of(
        &self,
        end: End,
        took: Option<Duration>,
        threshold: Option<Duration>,
        sampled: bool,
    ) -> Option<&'static str> {
        let slow = threshold.or(self.slow);
        match end.outcome {
            Ending::ServerError | Ending::Unknown => Some("error"),
            _ if slow.zip(took).is_some_and(|(slow, took)| took > slow) => Some("slow"),
            _ if sampled => Some("sampled"),
            Ending::Ok | Ending::ClientError | Ending::Cancelled => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use filter_core::HeaderMap;

    use super::*;

    fn sampled(sample: u32, id: &str) -> bool {
        let map = HeaderMap::from_pairs([("x-request-id", id)]);
        Worth { slow: None, sample }.samples(Headers::new(&map, &[]))
    }

    #[test]
    fn a_sample_is_as_large_as_it_is_said_to_be() {
        let ids = (0..10_000).map(|n| format!("{n:08x}-0000-4000-8000-000000000000"));
        let share = ids.filter(|id| sampled(100_000, id)).count();
        assert!((900..1100).contains(&share), "{share}");
        let id = "3f2504e0-4f89-41d3-9a0c-0305e82c3301";
        assert!(sampled(MILLION, id) && !sampled(0, id));
        assert!(
            !Worth { slow: None, sample: MILLION }
                .samples(Headers::new(&HeaderMap::default(), &[]))
        );
    }

    #[test]
    fn the_proxys_mark_in_an_id_changes_nothing() {
        for (one, other) in (0..200).map(|n| {
            let id = |mark| format!("{n:08x}-4f89-{mark}1d3-9a0c-0305e82c3301");
            (id('4'), id('9'))
        }) {
            assert_eq!(sampled(500_000, &one), sampled(500_000, &other));
        }
    }

    #[test]
    fn errors_come_before_slowness_and_that_before_the_sample() {
        let worth = Worth { slow: Some(Duration::from_secs(1)), sample: 0 };
        let end = |outcome| End { outcome, code: None, error: None };
        let long = Some(Duration::from_secs(2));
        assert_eq!(worth.of(end(Ending::ServerError), long, None, true), Some("error"));
        assert_eq!(worth.of(end(Ending::Ok), long, None, true), Some("slow"));
        assert_eq!(worth.of(end(Ending::Ok), long, long, true), Some("sampled"));
        assert_eq!(worth.of(end(Ending::ClientError), None, None, false), None);
    }
}
