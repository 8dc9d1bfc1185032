//! Preview tokens: whoever has one gets the version that it names, until it expires.
//!
//! A token is `ROLLOUT:VERSION:EXPIRY:SUBJECT:KEYID:CODE`. EXPIRY is in seconds since the Unix epoch; SUBJECT is a user's
//! key as base64url without padding, or empty for anybody; CODE is HMAC-SHA256 over `preview:` and all that stands before
//! the colon in front of it, as base64url without padding. It is readable, and no secret but to whom it is given.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use filter_core::Invalid;

use crate::config;
use crate::overrides::By;
use crate::sign::{Keys, Purpose};

/// A token for a version of a rollout of this configuration, good until a time since the Unix epoch; for one user, by their
/// key, or for anybody.
///
/// # Errors
/// When the document is no configuration, has no such rollout or version, or takes no token for it.
pub fn preview_token(
    document: &[u8],
    rollout: &str,
    version: &str,
    expires: Duration,
    subject: Option<&[u8]>,
) -> Result<String, Invalid> {
    let plan = config::parse(document)?;
    let mut rollouts = plan.rollouts.iter().enumerate();
    let (index, found) = rollouts
        .find(|(_, other)| other.name.as_str() == rollout)
        .ok_or_else(|| Invalid::at("/rollouts", format!("a rollout `{rollout}`"), "none"))?;
    let own = format!("/rollouts/{index}");
    if found.version_named(version).is_none() {
        let expected = format!("a version `{version}`");
        return Err(Invalid::at(format!("{own}/variants"), expected, "none"));
    }
    let by_token = |by: &By| matches!(by, By::Token { .. });
    let keys = plan.keys.as_ref().filter(|_| found.overrides.iter().any(|one| by_token(&one.by)));
    let preview = Preview {
        rollout: rollout.to_owned(),
        version: version.to_owned(),
        expires,
        subject: subject.map(<[u8]>::to_vec),
    };
    let token = keys.and_then(|keys| preview.sign(keys));
    token.ok_or_else(|| Invalid::at(format!("{own}/overrides"), "an override by `token`", "none"))
}

/// What a token lets its bearer have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Preview {
    /// The rollout that it is about.
    pub(crate) rollout: String,
    /// The version: a variant's name or the stable version's.
    pub(crate) version: String,
    /// Since the Unix epoch.
    pub(crate) expires: Duration,
    /// Whose it is; anybody's if nobody is named.
    pub(crate) subject: Option<Vec<u8>>,
}

impl Preview {
    /// The token. None if there is no key.
    pub(crate) fn sign(&self, keys: &Keys) -> Option<String> {
        let subject = self.subject.as_ref().map(|subject| URL_SAFE_NO_PAD.encode(subject));
        let Self { rollout, version, expires, .. } = self;
        let (expires, subject) = (expires.as_secs(), subject.unwrap_or_default());
        keys.sign(Purpose::Preview, &format!("{rollout}:{version}:{expires}:{subject}"), None)
    }

    /// What the token says, if one of the keys signed it. Whether it has expired is not looked at.
    pub(crate) fn verify(token: &[u8], keys: &Keys) -> Option<Self> {
        let text = keys.verify(Purpose::Preview, token, None)?;
        let fields: Vec<&str> = text.split(':').collect();
        let [rollout, version, expires, subject] = fields.as_slice() else { return None };
        let subject = match *subject {
            "" => None,
            subject => Some(URL_SAFE_NO_PAD.decode(subject).ok()?),
        };
        Some(Self {
            rollout: (*rollout).to_owned(),
            version: (*version).to_owned(),
            expires: Duration::from_secs(expires.parse().ok()?),
            subject,
        })
    }

    /// Whether the token is good for this rollout, at this time, for a user with this key.
    pub(crate) fn is_for(&self, rollout: &str, now: Duration, user: Option<&[u8]>) -> bool {
        let theirs = self.subject.as_deref().is_none_or(|subject| user == Some(subject));
        self.rollout == rollout && now < self.expires && theirs
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sign::tests::keys;

    fn preview(subject: Option<&str>) -> Preview {
        Preview {
            rollout: "check/out".to_owned(),
            version: "v2".to_owned(),
            expires: Duration::from_secs(100),
            subject: subject.map(|subject| subject.as_bytes().to_vec()),
        }
    }

    #[test]
    fn a_token_says_what_was_signed() {
        for preview in [preview(None), preview(Some("ann:v3"))] {
            let token = preview.sign(&keys(&["k"])).unwrap();
            assert_eq!(Preview::verify(token.as_bytes(), &keys(&["k"])), Some(preview));
            assert_eq!(Preview::verify(token.as_bytes(), &keys(&["l"])), None);
        }
    }

    #[test]
    fn a_token_is_good_for_one_rollout_until_it_expires() {
        let at = Duration::from_secs;
        let anybody = preview(None);
        assert!(anybody.is_for("check/out", at(99), None));
        assert!(!anybody.is_for("check/out", at(100), None));
        assert!(!anybody.is_for("check/out", Duration::MAX, None));
        assert!(!anybody.is_for("cart", at(99), None));
    }

    #[test]
    fn a_token_of_one_user_is_no_other_users() {
        let at = Duration::from_secs(1);
        let anns = preview(Some("ann"));
        assert!(anns.is_for("check/out", at, Some(b"ann")));
        assert!(!anns.is_for("check/out", at, Some(b"bob")));
        assert!(!anns.is_for("check/out", at, None));
    }
}
