//! Tokens that an issuer took back before their time.
//!
//! A token is known by what it says, never by its bytes: an ECDSA signature can be rewritten by anybody and stay good.

use std::collections::BTreeMap;

use super::claims::Claims;

/// What to look for in a token. All that is given must be in it; at least one is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Revocation {
    /// `jti`.
    pub(crate) id: Option<String>,
    /// `sub`.
    pub(crate) subject: Option<String>,
    /// An `iat` before this, in seconds since the epoch. A token without `iat` may be of any time, so also of before.
    pub(crate) issued_before: Option<i64>,
}

/// Revocations by `jti` and `sub`, each with the time before which it holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Revocations(BTreeMap<(Option<String>, Option<String>), i64>);

impl FromIterator<Revocation> for Revocations {
    fn from_iter<T: IntoIterator<Item = Revocation>>(revocations: T) -> Self {
        let mut all = BTreeMap::new();
        for Revocation { id, subject, issued_before } in revocations {
            let before = issued_before.unwrap_or(i64::MAX);
            let latest = all.entry((id, subject)).or_insert(before);
            *latest = before.max(*latest);
        }
        Self(all)
    }
}

impl Revocations {
    /// Whether one of them is about a token with these claims.
    pub(crate) fn take_back(&self, claims: &Claims) -> bool {
        !self.0.is_empty() && self.names(claims)
    }

    #[inline(never)]
    fn names(&self, claims: &Claims) -> bool {
        let of = |text: Option<&str>| [None, text.map(str::to_owned)];
        let (ids, subjects) = (of(claims.id()), of(claims.subject()));
        // A claim that the token lacks leaves only those revocations that do not ask for it; some are asked twice.
        ids.iter().any(|id| {
            subjects.iter().any(|subject| {
                let before = self.0.get(&(id.clone(), subject.clone()));
                before
                    .is_some_and(|before| claims.issued_at().is_none_or(|issued| issued < *before))
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn revocation(id: Option<&str>, subject: Option<&str>, before: Option<i64>) -> Revocation {
        let text = |text: Option<&str>| text.map(str::to_owned);
        Revocation { id: text(id), subject: text(subject), issued_before: before }
    }

    fn revoked(revocations: &Revocations, claims: Value) -> bool {
        revocations.take_back(&Claims::new(claims.as_object().unwrap().clone()).unwrap())
    }

    #[test]
    fn all_that_is_given_must_be_in_the_token() {
        let all: Revocations = [
            revocation(Some("1"), None, None),
            revocation(None, Some("bob"), Some(100)),
            revocation(Some("2"), Some("eve"), None),
            revocation(None, None, Some(50)),
        ]
        .into_iter()
        .collect();
        for (claims, verdict) in [
            (json!({ "jti": "1", "iat": 500 }), true),
            (json!({ "jti": "1", "sub": "anybody", "iat": 500 }), true),
            (json!({ "jti": "3", "iat": 500 }), false),
            (json!({ "sub": "bob", "iat": 99 }), true),
            (json!({ "sub": "bob", "iat": 100 }), false),
            (json!({ "sub": "bob" }), true),
            (json!({ "jti": "2", "sub": "eve", "iat": 500 }), true),
            (json!({ "jti": "2", "sub": "ann", "iat": 500 }), false),
            (json!({ "jti": "2", "iat": 500 }), false),
            (json!({ "sub": "ann", "iat": 49 }), true),
            (json!({}), true),
        ] {
            assert_eq!(revoked(&all, claims.clone()), verdict, "{claims}");
        }
        assert!(!revoked(&Revocations::default(), json!({})));
    }

    #[test]
    fn of_two_times_the_later_holds() {
        let twice = [Some(100), Some(50)].map(|before| revocation(None, Some("a"), before));
        let all: Revocations = twice.into_iter().collect();
        assert!(revoked(&all, json!({ "sub": "a", "iat": 99 })));
        let ever = [None, Some(50)].map(|before| revocation(None, Some("a"), before));
        let all: Revocations = ever.into_iter().collect();
        assert!(revoked(&all, json!({ "sub": "a", "iat": 5000 })));
    }
}
