//! What a user gets of one rollout, and why.

use std::time::Duration;

use filter_core::Headers;
use filter_core::decision::Reason;

use crate::bucket::{PartsPerMillion, bucket};
use crate::config::{BucketHeader, Holdout, Mode, Namespace, Rollout};
use crate::hash::Hash;
use crate::key;

/// Why a user got a version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Why {
    /// The bucket belongs to a variant.
    Bucket,
    /// The bucket belongs to none.
    Stable,
    /// The route has the weights, and was told the bucket.
    Delegated,
    /// There is no key to know the user by.
    MissingKey,
    /// The user gets stable of everything.
    Holdout,
    /// The user belongs to other rollouts of the namespace.
    Excluded,
    /// The version that was drawn is counted, and not set.
    Shadow,
    /// The variant is off, as it does too badly.
    Guarded,
}

impl Reason for Why {
    const ALL: &'static [Self] = &[
        Self::Bucket,
        Self::Stable,
        Self::Delegated,
        Self::MissingKey,
        Self::Holdout,
        Self::Excluded,
        Self::Shadow,
        Self::Guarded,
    ];

    fn as_str(self) -> &'static str {
        match self {
            Self::Bucket => "bucket",
            Self::Stable => "stable",
            Self::Delegated => "delegated",
            Self::MissingKey => "missing_key",
            Self::Holdout => "holdout",
            Self::Excluded => "excluded",
            Self::Shadow => "shadow",
            Self::Guarded => "guarded",
        }
    }
}

/// What a user gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Assignment {
    pub(crate) why: Why,
    /// The variant; none for stable.
    pub(crate) variant: Option<usize>,
    /// Where the user lies, from 0 to 999 999, for a route that has the weights; none without a key.
    pub(crate) place: Option<u32>,
}

impl Assignment {
    fn stable(why: Why, place: Option<u32>) -> Self {
        Self { why, variant: None, place }
    }
}

impl Rollout {
    /// What the request's user gets. Those held out or excluded lie at the low end, where a route's stable version is.
    pub(crate) fn assign(
        &self,
        headers: Headers<'_>,
        holdout: Option<&Holdout>,
        clock: impl FnOnce() -> Duration,
    ) -> Assignment {
        let Some(key) = key::of(&self.key, headers) else {
            return Assignment::stable(Why::MissingKey, None);
        };
        if holdout.is_some_and(|holdout| holdout.holds(key)) {
            return Assignment::stable(Why::Holdout, Some(0));
        }
        if self.namespace.as_ref().is_some_and(|namespace| !namespace.has(self.hash, key)) {
            return Assignment::stable(Why::Excluded, Some(0));
        }
        let place = self.hash.place(&self.salt, key);
        let variant = self.shares.variant(place, clock);
        let why = match (self.mode, variant) {
            (Mode::Shadow, _) => Why::Shadow,
            (Mode::Enforce, Some(_)) => Why::Bucket,
            (Mode::Enforce, None) if self.variants.is_empty() => Why::Delegated,
            (Mode::Enforce, None) => Why::Stable,
        };
        Assignment { why, variant, place: Some(place) }
    }
}

impl Holdout {
    fn holds(&self, key: &[u8]) -> bool {
        bucket(&format!("holdout:{}", self.salt), key) < self.weight.parts()
    }
}

impl Namespace {
    fn has(&self, hash: Hash, key: &[u8]) -> bool {
        (self.from.parts()..self.to.parts()).contains(&hash.namespace_place(&self.name, key))
    }
}

impl BucketHeader {
    /// The number that stands for a place, from 0 to one less than there are buckets.
    pub(crate) fn number(&self, place: u32) -> u32 {
        let scaled = u64::from(place).saturating_mul(u64::from(self.buckets));
        let number = scaled.checked_div(u64::from(PartsPerMillion::ALL.parts()));
        number.and_then(|number| u32::try_from(number).ok()).unwrap_or_default()
    }
}
