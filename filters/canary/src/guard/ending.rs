//! What came of a request that a version answered, or should have.

use std::ops::RangeInclusive;

use filter_core::view::{Attribute, View};

use super::judge::Tally;

/// What it is to fail and to take too long.
#[derive(Clone, Debug, Default)]
pub(crate) struct Endings {
    /// The statuses that are failures, by first and last.
    pub(crate) failures: Vec<RangeInclusive<u16>>,
    /// More nanoseconds than this are too long.
    pub(crate) slow: Option<i64>,
}

/// Envoy's response flags that mean that the client left: DC, its connection closed, and DR, it reset its stream.
pub(crate) const CLIENT_LEFT: i64 = 1 << 14 | 1 << 28;

/// Envoy's response flags that mean that no whole answer came, as the bits of its `CoreResponseFlag`: UH, UT, LR, UR, UF, UC,
/// UO, URX, UMSDR, DT, UPE, NC, DF.
pub(crate) const NO_ANSWER: i64 = 1 << 1
    | 1 << 2
    | 1 << 3
    | 1 << 4
    | 1 << 5
    | 1 << 6
    | 1 << 7
    | 1 << 15
    | 1 << 19
    | 1 << 22
    | 1 << 23
    | 1 << 24
    | 1 << 26;

/// What a request said of itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Protocol {
    #[default]
    Http,
    /// The status is in the trailers.
    Grpc,
}

impl Endings {
    /// The attributes that it is told by.
    pub(crate) fn attributes(&self) -> Vec<Attribute> {
        let told =
            [Attribute::ResponseCode, Attribute::ResponseFlags, Attribute::ResponseGrpcStatus];
        let duration = self.slow.map(|_| Attribute::RequestDuration);
        told.into_iter().chain(duration).collect()
    }

    /// The request at hand, counted; nothing if it says nothing about who answered it. A client that leaves says nothing,
    /// but that it left after what is too long.
    pub(crate) fn count(&self, view: View<'_>, protocol: Protocol) -> Option<Tally> {
        let flags = view.number(Attribute::ResponseFlags).unwrap_or_default();
        let slow = self.slow.is_some_and(|limit| {
            view.number(Attribute::RequestDuration).is_some_and(|nanos| nanos > limit)
        });
        let failed = if flags & CLIENT_LEFT != 0 {
            slow.then_some(false)
        } else if flags & NO_ANSWER != 0 {
            Some(true)
        } else {
            self.failed(view, protocol)
        }?;
        Some(Tally { requests: 1, failed: u32::from(failed), slow: u32::from(slow) })
    }

    /// Whether what was answered is a failure; nothing if nothing was. The proxy derives a gRPC status for plain HTTP too.
    fn failed(&self, view: View<'_>, protocol: Protocol) -> Option<bool> {
        let status = u16::try_from(view.number(Attribute::ResponseCode)?).ok()?;
        if status == 0 {
            return None;
        }
        let by_status = self.failures.iter().any(|range| range.contains(&status));
        let by_grpc = || match view.number(Attribute::ResponseGrpcStatus) {
            // Those that are errors of a server by OpenTelemetry's conventions for spans of gRPC servers: UNKNOWN,
            // DEADLINE_EXCEEDED, UNIMPLEMENTED, INTERNAL, UNAVAILABLE, DATA_LOSS.
            Some(grpc) => matches!(grpc, 2 | 4 | 12 | 13 | 14 | 15),
            None => false,
        };
        Some(by_status || (protocol == Protocol::Grpc && by_grpc()))
    }
}

#[cfg(test)]
mod tests {
    use filter_core::Phase;
    use filter_core::fixture::FixtureExchange;
    use filter_core::view::Value;

    use super::*;

    /// What is counted, as failed and slow, of a request with this status, these flags, this gRPC status, that took so
    /// many milliseconds; too long is more than a hundred.
    fn count(
        status: i64,
        flags: i64,
        grpc: Option<i64>,
        millis: i64,
        protocol: Protocol,
    ) -> Option<(u32, u32)> {
        let given = [
            (Attribute::ResponseCode, Some(status)),
            (Attribute::ResponseFlags, Some(flags)),
            (Attribute::ResponseGrpcStatus, grpc),
            (Attribute::RequestDuration, Some(millis * 1_000_000)),
        ];
        let attributes =
            given.into_iter().filter_map(|(a, n)| Some((a, Value::Number(n?)))).collect();
        let exchange = FixtureExchange { attributes, ..FixtureExchange::default() };
        let endings = Endings { failures: vec![500..=599, 429..=429], slow: Some(100_000_000) };
        let tally = endings.count(View::new(&exchange, Phase::Log, &[]), protocol)?;
        assert_eq!(tally.requests, 1);
        Some((tally.failed, tally.slow))
    }

    #[test]
    fn plain_http_fails_by_its_status() {
        for (status, failed) in [(200, 0), (404, 0), (429, 1), (499, 0), (500, 1), (599, 1)] {
            // Envoy derives 2 for a plain 200.
            assert_eq!(count(status, 0, Some(2), 1, Protocol::Http), Some((failed, 0)), "{status}");
        }
    }

    #[test]
    fn grpc_fails_by_its_status_too() {
        for (grpc, failed) in [(Some(0), 0), (Some(5), 0), (Some(13), 1), (Some(14), 1), (None, 0)]
        {
            assert_eq!(count(200, 0, grpc, 1, Protocol::Grpc), Some((failed, 0)), "{grpc:?}");
        }
        assert_eq!(count(503, 0, None, 1, Protocol::Grpc), Some((1, 0)));
    }

    #[test]
    fn an_answer_that_broke_off_is_a_failure() {
        // UC after a 200 that had begun; UT; NC.
        for flag in [6, 2, 24] {
            assert_eq!(count(200, 1 << flag, None, 1, Protocol::Http), Some((1, 0)), "{flag}");
        }
        // DI: a delay that was asked for is none.
        assert_eq!(count(200, 1 << 9, None, 1, Protocol::Http), Some((0, 0)));
    }

    #[test]
    fn what_takes_too_long_is_slow() {
        assert_eq!(count(200, 0, None, 100, Protocol::Http), Some((0, 0)));
        assert_eq!(count(200, 0, None, 101, Protocol::Http), Some((0, 1)));
    }

    #[test]
    fn a_client_that_left_says_nothing_unless_it_waited_too_long() {
        for flags in [1 << 14, 1 << 28, 1 << 14 | 1 << 6] {
            assert_eq!(count(0, flags, None, 99, Protocol::Http), None);
            assert_eq!(count(0, flags, None, 101, Protocol::Http), Some((0, 1)));
        }
        assert_eq!(count(0, 0, None, 1, Protocol::Http), None, "nothing is known");
    }
}
