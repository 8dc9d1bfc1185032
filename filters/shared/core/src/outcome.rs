//! What a filter answers: a verdict, and effects as values that the host applies in one place.

use std::time::Duration;

use crate::decision::Decision;
use crate::{HeaderMap, HeaderName, Series};

/// The answer to one phase of one exchange.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Outcome {
    /// What happens to the exchange.
    pub verdict: Verdict,
    /// The evidence: which rule decided, and why. The decision metric, the filter state `wasm.FILTER` and a reply's
    /// response-code details are derived from it. Several only where several filters answer as one.
    pub decisions: Vec<Decision>,
    /// Changes to the headers of this phase, in order. The last one of a name holds, and what is appended after it.
    pub edits: Vec<Edit>,
    /// Values to leave in filter state, for access logs, traces and later filters.
    pub publish: Vec<Publication>,
    /// What to count besides the decisions.
    pub counts: Vec<Count>,
    /// Whether the route must be chosen anew for what was published. Edited request headers see to it themselves.
    pub reroute: bool,
}

impl Outcome {
    /// Nothing to say: the exchange goes on untouched.
    #[must_use]
    pub fn pass() -> Self {
        Self::default()
    }

    /// The exchange goes on, and this is why.
    #[must_use]
    pub fn because(decision: Decision) -> Self {
        Self { decisions: vec![decision], ..Self::default() }
    }

    /// The exchange ends with `reply`, and this is why. The reply's details are taken from the decision.
    #[must_use]
    pub fn reply(mut reply: Reply, decision: Decision) -> Self {
        reply.details = decision.details();
        Self { verdict: Verdict::Reply(reply), decisions: vec![decision], ..Self::default() }
    }

    /// This outcome and then `next`, as one: effects in order, and the verdict of `next`.
    pub fn extend(&mut self, next: Self) {
        self.verdict = next.verdict;
        self.decisions.extend(next.decisions);
        self.edits.extend(next.edits);
        self.publish.extend(next.publish);
        self.counts.extend(next.counts);
        self.reroute |= next.reroute;
    }
}

/// What happens to the exchange.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Verdict {
    /// It goes on.
    #[default]
    Continue,
    /// It ends here, with this reply.
    Reply(Reply),
    /// It is held until the callout is answered. Request phase only.
    Await(Callout),
    /// It is held until [`crate::Chores::resume`], or for so long. Request phase only, and only by filters with a
    /// [`crate::Filter::period`], to which its precision is bound.
    Hold(Duration),
}

/// A response made here.
#[derive(Clone, Debug, PartialEq)]
pub struct Reply {
    /// The HTTP status, 200 to 599.
    pub status: u16,
    /// What a gRPC client is told instead (`grpc-status`).
    pub grpc_status: GrpcStatus,
    /// Headers besides those the proxy makes.
    pub headers: Vec<(HeaderName, Vec<u8>)>,
    /// The body, or the `grpc-message` for a gRPC client.
    pub body: Vec<u8>,
    /// The response-code details, e.g. `authz{denied:admin-only}`.
    pub details: String,
}

/// A gRPC status code that a filter may answer with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GrpcStatus {
    /// 3, for 400.
    InvalidArgument = 3,
    /// 5, for 404, when a refusal is to look like an absence.
    NotFound = 5,
    /// 7, for 403.
    PermissionDenied = 7,
    /// 8, for 429.
    ResourceExhausted = 8,
    /// 12, for 404 and 501, when a method is to look absent.
    Unimplemented = 12,
    /// 13, for 500.
    Internal = 13,
    /// 14, for 503.
    Unavailable = 14,
    /// 16, for 401.
    Unauthenticated = 16,
}

/// An HTTP request to a cluster of the proxy.
#[derive(Clone, Debug, PartialEq)]
pub struct Callout {
    /// The cluster's name, from configuration only.
    pub cluster: String,
    /// All headers, `:method`, `:path` and `:authority` first.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
    /// How long to wait for the whole answer.
    pub timeout: Duration,
}

/// What came of waiting.
#[derive(Clone, Debug)]
pub enum Answer {
    /// What the request was held for may have come, or time is up ([`Verdict::Hold`]).
    Resumed,
    /// A response came, of whatever status.
    Response {
        /// Its headers, `:status` among them.
        headers: HeaderMap,
        /// Its body.
        body: Vec<u8>,
    },
    /// None came: the cluster is unknown or unreachable, or time ran out. For a held request: too many are held already.
    Failure,
}

/// A change to headers. Whatever was sent under that name is gone after the first two.
#[derive(Clone, Debug, PartialEq)]
pub enum Edit {
    /// Exactly one copy, with this value.
    Set(HeaderName, Vec<u8>),
    /// No copy.
    Remove(HeaderName),
    /// One copy more, after those that are there: for `set-cookie`, which cannot be one list (RFC 6265 §3).
    Append(HeaderName, Vec<u8>),
}

impl Edit {
    /// The header that is changed.
    #[must_use]
    pub fn name(&self) -> &HeaderName {
        match self {
            Self::Set(name, _) | Self::Remove(name) | Self::Append(name, _) => name,
        }
    }

    /// The value that is written.
    #[must_use]
    pub fn value(&self) -> Option<&[u8]> {
        match self {
            Self::Set(_, value) | Self::Append(_, value) => Some(value),
            Self::Remove(_) => None,
        }
    }

    /// Whether the edits of this name before it, and what was sent under it, make no difference any more.
    #[must_use]
    pub fn supersedes(&self) -> bool {
        match self {
            Self::Set(..) | Self::Remove(_) => true,
            Self::Append(..) => false,
        }
    }
}

/// A value for filter state, read as `%FILTER_STATE(wasm.NAME:PLAIN)%` or `filter_state['wasm.NAME']`.
#[derive(Clone, Debug, PartialEq)]
pub struct Publication {
    /// NAME: letters, digits and underscores.
    pub name: &'static str,
    /// The value.
    pub value: Vec<u8>,
}

/// One change of one series.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Count {
    /// Adds to a counter, or to a gauge.
    Add(Series, u64),
    /// Records a value in a histogram, in the histogram's unit, or sets a gauge to it.
    Record(Series, u64),
}
