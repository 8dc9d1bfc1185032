//! Who a user is whom nothing tells: an id that we give out in a cookie, and take back only as we gave it.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use filter_core::ports::Entropy;
use filter_core::{Copies, Headers};

use crate::cookie::Cookie;
use crate::sign::{Keys, Purpose};

/// The length of an id: sixteen bytes as base64url without padding.
const LENGTH: usize = 22;

/// An id, and whether the client has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum AnonymousId {
    /// The client sent it.
    Known(String),
    /// The client must be given it, in this cookie.
    New { id: String, value: String },
}

impl AnonymousId {
    /// The id of this client: that of its cookie, or a new one. None without randomness.
    pub(crate) fn of(
        cookie: &Cookie,
        keys: Option<&Keys>,
        headers: Headers<'_>,
        entropy: &dyn Entropy,
    ) -> Option<Self> {
        if let Copies::One(value) = headers.cookie(&cookie.name)
            && let Some(id) = believed(value, keys)
        {
            return Some(Self::Known(id.to_owned()));
        }
        let seed = Some(entropy.seed()).filter(|seed| *seed != [0; 16])?;
        let id = URL_SAFE_NO_PAD.encode(seed);
        let value = match keys {
            Some(keys) => keys.sign(Purpose::AnonymousId, &id, None)?,
            None => id.clone(),
        };
        Some(Self::New { id, value })
    }

    /// The id alone.
    pub(crate) fn id(&self) -> &str {
        match self {
            Self::Known(id) | Self::New { id, .. } => id,
        }
    }
}

/// The id in a cookie: with keys, one that we signed; without, one that has the form of ours.
fn believed<'v>(value: &'v [u8], keys: Option<&Keys>) -> Option<&'v str> {
    let text = match keys {
        Some(keys) => keys.verify(Purpose::AnonymousId, value, None)?,
        None => std::str::from_utf8(value).ok()?,
    };
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
    (text.len() == LENGTH && text.bytes().all(plain)).then_some(text)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use filter_core::HeaderMap;
    use filter_core::fixture::World;

    use super::*;
    use crate::cookie::{SameSite, Transport};
    use crate::sign::tests::keys;

    fn ask(keys: Option<&Keys>, value: &str) -> AnonymousId {
        let cookie = Cookie {
            name: "aid".to_owned(),
            max_age: Duration::from_secs(60),
            path: "/".to_owned(),
            domain: None,
            same_site: SameSite::Lax,
            transport: Transport::Secure,
        };
        let map = HeaderMap::from_pairs([("cookie", format!("aid={value}"))]);
        AnonymousId::of(&cookie, keys, Headers::new(&map, &[]), &World::default().entropy).unwrap()
    }

    #[test]
    fn an_id_is_taken_back_as_it_was_given() {
        for keys in [None, Some(keys(&["k"]))] {
            let AnonymousId::New { id, value } = ask(keys.as_ref(), "") else { panic!() };
            assert_eq!(id.len(), LENGTH);
            assert_eq!(ask(keys.as_ref(), &value), AnonymousId::Known(id));
        }
    }

    #[test]
    fn what_a_client_made_up_is_no_id() {
        let is_new = |keys, value: &str| matches!(ask(keys, value), AnonymousId::New { .. });
        for value in
            ["ann", &"a".repeat(21), &"a".repeat(23), &"a".repeat(5000), "aaaaaaaaaaaaaaaaaaaaa="]
        {
            assert!(is_new(None, value), "{value}");
        }
        let keys = keys(&["k"]);
        assert!(!is_new(None, &"a".repeat(22)));
        assert!(is_new(Some(&keys), &"a".repeat(22)));
    }
}
