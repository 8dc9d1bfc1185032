//! A cookie that keeps a user with the variant they had, whatever becomes of the weights.
//!
//! It is `ROLLOUT:BUCKETVERSION:VARIANT:EXPIRY:KEYID:CODE`, signed over the user's key too, so that no other user may take
//! it over.

use std::time::Duration;

use filter_core::{Copies, Headers};

use crate::cookie::Cookie;
use crate::sign::{Keys, Purpose};

/// What a user had.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Had {
    /// The rollout's `bucketVersion` then.
    pub(crate) bucket_version: u64,
    pub(crate) variant: String,
    /// Since the Unix epoch.
    pub(crate) expires: Duration,
}

/// The cookie of one rollout.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Sticky {
    pub(crate) cookie: Cookie,
}

impl Sticky {
    /// Whether the request has the cookie, whatever it says.
    pub(crate) fn is_in(&self, headers: Headers<'_>) -> bool {
        headers.cookie(&self.cookie.name) != Copies::None
    }

    /// What the user had of this rollout, if it was we who said so, and not too long ago.
    pub(crate) fn read(
        &self,
        rollout: &str,
        headers: Headers<'_>,
        keys: &Keys,
        user: &[u8],
        now: impl FnOnce() -> Duration,
    ) -> Option<Had> {
        let Copies::One(value) = headers.cookie(&self.cookie.name) else { return None };
        let text = keys.verify(Purpose::Sticky, value, Some(user))?;
        let fields: Vec<&str> = text.split(':').collect();
        let [name, version, variant, expires] = fields.as_slice() else { return None };
        let expires = Duration::from_secs(expires.parse().ok()?);
        (*name == rollout && now() < expires).then_some(Had {
            bucket_version: version.parse().ok()?,
            variant: (*variant).to_owned(),
            expires,
        })
    }

    /// The line that gives the user the cookie; none if they have it for longer than half of its time.
    pub(crate) fn line(
        &self,
        rollout: &str,
        now: Had,
        had: Option<&Had>,
        keys: &Keys,
        user: &[u8],
    ) -> Option<Vec<u8>> {
        let half = self.cookie.max_age.checked_div(2).unwrap_or_default();
        let fresh = |had: &Had| {
            (had.bucket_version, &had.variant) == (now.bucket_version, &now.variant)
                && had.expires.saturating_add(half) >= now.expires
        };
        if had.is_some_and(fresh) {
            return None;
        }
        let Had { bucket_version, variant, expires } = &now;
        let text = format!("{rollout}:{bucket_version}:{variant}:{}", expires.as_secs());
        let value = keys.sign(Purpose::Sticky, &text, Some(user))?;
        Some(self.cookie.line(&value, Duration::MAX))
    }
}
