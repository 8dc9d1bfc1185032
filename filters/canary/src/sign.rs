//! What bears our signature: texts that clients carry for us, believed only as they were given out.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use filter_core::Rule;
use hmac::{Hmac, Mac as _};
use sha2::Sha256;

/// Nothing longer is looked at: more than the longest that we make.
const MAX_LENGTH: usize = 1024;

/// The keys of a configuration. The first signs, all are believed, so that one can be put in the place of another.
#[derive(Clone, Debug)]
pub(crate) struct Keys(Vec<Key>);

/// A secret, and the name that tells which one it was.
#[derive(Clone)]
pub(crate) struct Key {
    id: Rule,
    /// Keyed once: a copy spares each signature two blocks.
    mac: Hmac<Sha256>,
}

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Key").field("id", &self.id).finish_non_exhaustive()
    }
}

/// What a text is for, so that none passes for another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// A tester's choice.
    Preview,
    /// The version that a user had.
    Sticky,
    /// Who an unknown user is.
    AnonymousId,
}

impl Purpose {
    fn word(self) -> &'static [u8] {
        match self {
            Self::Preview => b"preview",
            Self::Sticky => b"sticky",
            Self::AnonymousId => b"anonymousId",
        }
    }
}

impl Key {
    /// A key of at least 32 bytes, the length of the hash (RFC 2104 §3); none of fewer.
    pub(crate) fn new(id: Rule, secret: &[u8]) -> Option<Self> {
        let mac = Hmac::new_from_slice(secret).ok().filter(|_| secret.len() >= 32)?;
        Some(Self { id, mac })
    }

    /// The code of a text for a purpose, over `PURPOSE:TEXT:KEYID`, and `:OWNER` where the text is one's own. No field of
    /// these but the owner, which is the last, holds a colon where a text has a fixed number of fields.
    fn over(&self, purpose: Purpose, text: &[u8], owner: Option<&[u8]>) -> Hmac<Sha256> {
        let mut mac = self.mac.clone();
        let parts = [purpose.word(), b":", text, b":", self.id.as_str().as_bytes()];
        parts.iter().for_each(|part| mac.update(part));
        if let Some(owner) = owner {
            mac.update(b":");
            mac.update(owner);
        }
        mac
    }
}

impl Keys {
    /// These keys, at least one.
    pub(crate) fn new(keys: Vec<Key>) -> Self {
        Self(keys)
    }

    /// The text with its signature: `TEXT:KEYID:CODE`, the code as base64url (RFC 4648 §5) without padding.
    pub(crate) fn sign(
        &self,
        purpose: Purpose,
        text: &str,
        owner: Option<&[u8]>,
    ) -> Option<String> {
        let key = self.0.first()?;
        let code = key.over(purpose, text.as_bytes(), owner).finalize().into_bytes();
        Some(format!("{text}:{}:{}", key.id, URL_SAFE_NO_PAD.encode(code)))
    }

    /// The text that was signed, if it was, by one of the keys. The code is compared in constant time.
    pub(crate) fn verify<'t>(
        &self,
        purpose: Purpose,
        signed: &'t [u8],
        owner: Option<&[u8]>,
    ) -> Option<&'t str> {
        let signed = Some(signed).filter(|signed| signed.len() <= MAX_LENGTH)?;
        let (rest, code) = std::str::from_utf8(signed).ok()?.rsplit_once(':')?;
        let (text, id) = rest.rsplit_once(':')?;
        let code = URL_SAFE_NO_PAD.decode(code).ok()?;
        let key = self.0.iter().find(|key| key.id.as_str() == id)?;
        key.over(purpose, text.as_bytes(), owner).verify_slice(&code).ok()?;
        Some(text)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn keys(ids: &[&str]) -> Keys {
        let key = |id: &&str| Key::new(Rule::parse(id).unwrap(), id.repeat(32).as_bytes()).unwrap();
        Keys::new(ids.iter().map(key).collect())
    }

    #[test]
    fn the_code_is_what_others_make_of_it() {
        // printf %s preview:checkout:v2:1800000000::k |
        //     openssl dgst -sha256 -hmac kkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkk -binary | basenc --base64url
        let signed = keys(&["k"]).sign(Purpose::Preview, "checkout:v2:1800000000:", None).unwrap();
        assert_eq!(signed, "checkout:v2:1800000000::k:CnWcSOHWaHdD6pN5882nj79vzQRaXpkXlDnKqdIiO2c");
    }

    #[test]
    fn what_was_not_signed_so_is_not_believed() {
        let keys = keys(&["k"]);
        let signed = keys.sign(Purpose::Sticky, "a:b", Some(b"ann")).unwrap();
        let verify = |purpose, signed: &str, owner: Option<&[u8]>| {
            keys.verify(purpose, signed.as_bytes(), owner).map(str::to_owned)
        };
        assert_eq!(verify(Purpose::Sticky, &signed, Some(b"ann")).unwrap(), "a:b");
        assert_eq!(verify(Purpose::Sticky, &signed, Some(b"bob")), None);
        assert_eq!(verify(Purpose::Sticky, &signed, None), None);
        assert_eq!(verify(Purpose::Preview, &signed, Some(b"ann")), None);
        for at in 0..signed.len() {
            for other in ["", "x", ":", "="] {
                let mut forged = signed.clone();
                forged.replace_range(at..=at, other);
                if forged != signed {
                    assert_eq!(verify(Purpose::Sticky, &forged, Some(b"ann")), None, "{forged}");
                }
            }
        }
        for bad in [
            String::new(),
            ":".to_owned(),
            "::".to_owned(),
            format!("{signed}{signed}"),
            format!("{signed}="),
        ] {
            assert_eq!(verify(Purpose::Sticky, &bad, Some(b"ann")), None, "{bad}");
        }
        assert_eq!(keys.verify(Purpose::Sticky, &[b'a'; 2000], None), None);
    }

    #[test]
    fn the_first_key_signs_and_all_are_believed() {
        let signed = keys(&["old"]).sign(Purpose::Preview, "a", None).unwrap();
        let rotated = keys(&["new", "old"]);
        assert_eq!(rotated.verify(Purpose::Preview, signed.as_bytes(), None), Some("a"));
        assert!(rotated.sign(Purpose::Preview, "a", None).unwrap().starts_with("a:new:"));
        assert_eq!(keys(&["new"]).verify(Purpose::Preview, signed.as_bytes(), None), None);
    }

    #[test]
    fn a_secret_has_thirty_two_bytes() {
        let id = || Rule::parse("k").unwrap();
        assert!(Key::new(id(), &[1; 31]).is_none());
        assert!(Key::new(id(), &[1; 32]).is_some());
    }
}
