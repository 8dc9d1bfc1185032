//! When a token is valid (RFC 7519 §4.1.4 to §4.1.6), and for how long at most.

use std::time::Duration;

use super::claims::Claims;
use crate::Reason;

/// What an issuer's tokens must keep to, in seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Validity {
    /// How far the issuer's clock may be from ours.
    pub(crate) skew: i64,
    /// How long a token may be valid, from `iat` if it has one, and from now.
    pub(crate) max_lifetime: Option<i64>,
}

impl Default for Validity {
    /// A minute of skew, Envoy's default, and no end.
    fn default() -> Self {
        Self { skew: 60, max_lifetime: None }
    }
}

impl Validity {
    /// Whether `now`, time since the epoch, is a time of the token's.
    ///
    /// # Errors
    /// When it is not, or when the token is valid for too long.
    pub(crate) fn check(self, claims: &Claims, now: Duration) -> Result<(), Reason> {
        let now = i64::try_from(now.as_secs()).unwrap_or(i64::MAX);
        let expiry = claims.expiry();
        if expiry.is_some_and(|expiry| now >= expiry.saturating_add(self.skew)) {
            return Err(Reason::TokenExpired);
        }
        let begun =
            |date: Option<i64>| date.is_none_or(|date| now >= date.saturating_sub(self.skew));
        if !begun(claims.not_before()) || !begun(claims.issued_at()) {
            return Err(Reason::TokenNotYetValid);
        }
        match self.max_lifetime {
            Some(max) if !self.ends_within(max, claims, now) => Err(Reason::TokenLifetime),
            _ => Ok(()),
        }
    }

    /// Whether the token is valid for no longer than this.
    #[inline(never)]
    fn ends_within(self, max: i64, claims: &Claims, now: i64) -> bool {
        claims.expiry().is_some_and(|expiry| {
            let from_now = expiry.saturating_sub(now) <= max.saturating_add(self.skew);
            let issued = claims.issued_at();
            from_now && issued.is_none_or(|issued| expiry.saturating_sub(issued) <= max)
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[track_caller]
    fn check(validity: Validity, claims: Value, now: u64, expected: Result<(), Reason>) {
        let read = Claims::new(claims.as_object().unwrap().clone()).unwrap();
        let found = validity.check(&read, Duration::from_secs(now));
        assert_eq!(found, expected, "{claims} at {now}");
    }

    #[test]
    fn time_is_told_with_a_minute_to_spare() {
        let usual = Validity::default();
        let (expired, early) = (Err(Reason::TokenExpired), Err(Reason::TokenNotYetValid));
        for (claims, verdict) in [
            (json!({}), Ok(())),
            (json!({ "exp": 941 }), Ok(())),
            (json!({ "exp": 940 }), expired),
            (json!({ "exp": 940.9 }), expired),
            (json!({ "exp": 0 }), expired),
            (json!({ "exp": i64::MIN }), expired),
            (json!({ "exp": i64::MAX }), Ok(())),
            (json!({ "nbf": 1060 }), Ok(())),
            (json!({ "nbf": 1060.1 }), early),
            (json!({ "nbf": i64::MAX }), early),
            (json!({ "iat": 1060 }), Ok(())),
            (json!({ "iat": 1061 }), early),
            (json!({ "iat": -5 }), Ok(())),
        ] {
            check(usual, claims, 1000, verdict);
        }
        check(usual, json!({ "exp": i64::MIN }), 0, expired);
        check(usual, json!({ "exp": 5000 }), u64::MAX, expired);
    }

    #[test]
    fn without_skew_time_is_told_to_the_second() {
        let exact = Validity { skew: 0, ..Validity::default() };
        check(exact, json!({ "exp": 1001, "nbf": 1000, "iat": 1000 }), 1000, Ok(()));
        check(exact, json!({ "exp": 1000 }), 1000, Err(Reason::TokenExpired));
        check(exact, json!({ "nbf": 1001 }), 1000, Err(Reason::TokenNotYetValid));
        check(exact, json!({ "iat": 1001 }), 1000, Err(Reason::TokenNotYetValid));
    }

    #[test]
    fn a_lifetime_may_be_bounded() {
        let hour = Validity { skew: 10, max_lifetime: Some(3600) };
        let long = Err(Reason::TokenLifetime);
        for (claims, verdict) in [
            (json!({}), long),
            (json!({ "iat": 1000 }), long),
            (json!({ "exp": 4610 }), Ok(())),
            (json!({ "exp": 4611 }), long),
            (json!({ "exp": 4600, "iat": 1000 }), Ok(())),
            (json!({ "exp": 4600, "iat": 999 }), long),
            (json!({ "exp": 4610, "iat": 1010 }), Ok(())),
            (json!({ "exp": i64::MAX, "iat": i64::MIN }), long),
            (json!({ "exp": 900 }), Err(Reason::TokenExpired)),
        ] {
            check(hour, claims, 1000, verdict);
        }
    }
}
