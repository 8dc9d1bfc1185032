//! Why a request went through or not.

use filter_core::decision::Reason;

/// Why a request went through or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Why {
    /// Every rule had a token left.
    Admitted,
    /// The rule had none.
    Limited,
    /// As many requests as may be were in flight.
    ConcurrencyLimited,
    /// The rule had none, and it is not enforced on this request.
    ShadowLimited,
    /// The request lacks the rule's key, and the rule denies that.
    MissingKey,
    /// Other workers wrote the bucket first, every time it was tried.
    Contended,
    /// The shared store could not be used.
    Unavailable,
    /// A key that still owed something lost its place to another, or one with requests in flight found none. Counted only: it
    /// decides nothing.
    Evicted,
    /// A request whose worker renews nothing any more was counted as over. Counted only: it decides nothing.
    Expired,
}

impl Reason for Why {
    const ALL: &'static [Self] = &[
        Self::Admitted,
        Self::Limited,
        Self::ConcurrencyLimited,
        Self::ShadowLimited,
        Self::MissingKey,
        Self::Contended,
        Self::Unavailable,
        Self::Evicted,
        Self::Expired,
    ];

    fn as_str(self) -> &'static str {
        match self {
            Self::Admitted => "admitted",
            Self::Limited => "limited",
            Self::ConcurrencyLimited => "concurrency_limited",
            Self::ShadowLimited => "shadow_limited",
            Self::MissingKey => "missing_key",
            Self::Contended => "contended",
            Self::Unavailable => "unavailable",
            Self::Evicted => "evicted",
            Self::Expired => "expired",
        }
    }
}
