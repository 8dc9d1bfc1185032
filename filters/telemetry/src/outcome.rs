//! What came of a request, in one word.

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

    /// Whether the client left, by response flags.
    pub(crate) fn left(flags: i64) -> bool {
        flags & CLIENT_LEFT != 0
    }

    /// What a status means.
    pub(crate) fn of_http(code: i64) -> Self {
        match code {
            100..=399 => Self::Ok,
            400..=499 => Self::ClientError,
            500..=599 => Self::ServerError,
            _ => Self::Unknown,
        }
    }

    /// The statuses that are errors of a server are those of OpenTelemetry's conventions for gRPC server spans.
    pub(crate) fn of_grpc(status: i64) -> Self {
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
