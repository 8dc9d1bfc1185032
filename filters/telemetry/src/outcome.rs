//! What came of a request, in one word.

use filter_core::view::{Attribute, View};

/// What came of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// It was answered, without an error.
    Ok,
    /// It was refused for what the client did.
    ClientError,
    /// The server failed.
    ServerError,
    /// The client left before the answer was complete.
    Cancelled,
    /// Nobody can tell.
    Unknown,
}

/// Envoy's response flags that mean that the client left: DC, its connection closed, and DR, it reset its stream.
const CLIENT_LEFT: i64 = 1 << 14 | 1 << 28;

impl Ending {
    /// Every ending, in the order of the label's values.
    pub(crate) const ALL: [Self; 5] =
        [Self::Ok, Self::ClientError, Self::ServerError, Self::Cancelled, Self::Unknown];

    /// The attributes it is told by.
    pub(crate) const ATTRIBUTES: [Attribute; 3] =
        [Attribute::ResponseCode, Attribute::ResponseFlags, Attribute::ResponseGrpcStatus];

    /// What came of the request at hand. The proxy derives a gRPC status for plain HTTP too, so that it is asked for
    /// gRPC alone.
    pub(crate) fn of(view: View<'_>, grpc: bool) -> Self {
        let flags = view.number(Attribute::ResponseFlags).unwrap_or_default();
        if flags & CLIENT_LEFT != 0 {
            return Self::Cancelled;
        }
        let status = if grpc { view.number(Attribute::ResponseGrpcStatus) } else { None };
        match status {
            Some(status) => Self::of_grpc(status),
            None => view.number(Attribute::ResponseCode).map_or(Self::Unknown, Self::of_http),
        }
    }

    fn of_http(code: i64) -> Self {
        match code {
            100..=399 => Self::Ok,
            400..=499 => Self::ClientError,
            500..=599 => Self::ServerError,
            _ => Self::Unknown,
        }
    }

    /// The statuses that are errors of a server are those of OpenTelemetry's conventions for gRPC server spans.
    fn of_grpc(status: i64) -> Self {
        match status {
            0 => Self::Ok,
            1 => Self::Cancelled,
            // UNKNOWN, DEADLINE_EXCEEDED, UNIMPLEMENTED, INTERNAL, UNAVAILABLE, DATA_LOSS.
            2 | 4 | 12 | 13 | 14 | 15 => Self::ServerError,
            3 | 5..=11 | 16 => Self::ClientError,
            _ => Self::Unknown,
        }
    }

    /// The label's value.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::ClientError => "client_error",
            Self::ServerError => "server_error",
            Self::Cancelled => "cancelled",
            Self::Unknown => "unknown",
        }
    }

    /// Where it stands in [`Ending::ALL`].
    pub(crate) fn position(self) -> usize {
        Self::ALL.iter().position(|other| *other == self).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use filter_core::Phase;
    use filter_core::fixture::FixtureExchange;
    use filter_core::view::Value;

    use super::*;

    /// The ending of an exchange with this code, these flags, and this gRPC status.
    fn ending(code: Option<i64>, flags: i64, status: Option<i64>, grpc: bool) -> Ending {
        let given = [
            (Attribute::ResponseCode, code),
            (Attribute::ResponseFlags, Some(flags)),
            (Attribute::ResponseGrpcStatus, status),
        ];
        let attributes =
            given.into_iter().filter_map(|(a, n)| Some((a, Value::Number(n?)))).collect();
        let exchange = FixtureExchange { attributes, ..FixtureExchange::default() };
        Ending::of(View::new(&exchange, Phase::Log, &[]), grpc)
    }

    #[test]
    fn plain_http_ends_by_its_code() {
        for (code, expected) in [
            (101, Ending::Ok),
            (200, Ending::Ok),
            (304, Ending::Ok),
            (404, Ending::ClientError),
            (499, Ending::ClientError),
            (503, Ending::ServerError),
            (0, Ending::Unknown),
            (999, Ending::Unknown),
            (-1, Ending::Unknown),
        ] {
            // Envoy derives 2 for a plain 200.
            assert_eq!(ending(Some(code), 0, Some(2), false), expected, "{code}");
        }
    }

    #[test]
    fn grpc_ends_by_its_status() {
        for status in [2, 4, 12, 13, 14, 15] {
            assert_eq!(ending(Some(200), 0, Some(status), true), Ending::ServerError, "{status}");
        }
        for status in [3, 5, 6, 7, 8, 9, 10, 11, 16] {
            assert_eq!(ending(Some(200), 0, Some(status), true), Ending::ClientError, "{status}");
        }
        assert_eq!(ending(Some(200), 0, Some(0), true), Ending::Ok);
        assert_eq!(ending(Some(200), 0, Some(1), true), Ending::Cancelled);
        assert_eq!(ending(Some(200), 0, Some(17), true), Ending::Unknown);
        assert_eq!(ending(Some(503), 0, None, true), Ending::ServerError);
    }

    #[test]
    fn a_client_that_left_is_no_error() {
        for flags in [16_384, 268_435_456, 16_384 + 4] {
            assert_eq!(ending(None, flags, None, false), Ending::Cancelled, "{flags}");
            assert_eq!(ending(Some(200), flags, Some(0), true), Ending::Cancelled, "{flags}");
        }
        assert_eq!(ending(None, 0, None, false), Ending::Unknown);
        assert_eq!(ending(Some(504), 4, None, false), Ending::ServerError);
    }
}
