//! Hosts, as different ways to write the same one compare.

use std::borrow::Cow;

use serde::de::{Error as _, Unexpected};
use serde::{Deserialize, Deserializer};

use super::bytes::ByteSet;
use super::{StringPattern, Truth};

/// A host pattern: exact, prefix `api.*`, suffix `*.example.com`, or `*`. Case and a trailing dot do not matter; a
/// port matters only if the pattern has one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostPattern(StringPattern);

impl HostPattern {
    /// The pattern that `text` writes.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        StringPattern::parse(&text.to_ascii_lowercase()).map(Self)
    }

    /// The pattern that Istio reads in `text` (see [`StringPattern::as_in_istio`]).
    #[must_use]
    pub fn as_in_istio(text: &str) -> Option<Self> {
        StringPattern::as_in_istio(&text.to_ascii_lowercase()).map(Self)
    }

    /// The pattern as one of strings, in lower case.
    #[must_use]
    pub fn pattern(&self) -> &StringPattern {
        &self.0
    }

    /// Whether a host matches; unknown when there is none that all servers would read alike.
    #[must_use]
    pub fn matches(&self, host: Option<&Host<'_>>) -> Truth {
        let Some(host) = host else {
            return Truth::Unknown;
        };
        let with_port = || host.port.is_some() && self.0.matches(&host.with_port());
        Truth::from(self.0.matches(&host.name) || with_port())
    }
}

impl<'de> Deserialize<'de> for HostPattern {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| {
            D::Error::invalid_value(Unexpected::Str(&text), &"a host, `prefix*`, `*suffix` or `*`")
        })
    }
}

/// A request's host in canonical form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Host<'a> {
    name: Cow<'a, [u8]>,
    port: Option<&'a [u8]>,
}

impl<'a> Host<'a> {
    /// The host that `authority` (`:authority`, RFC 9110 §7.2) names; `None` for an empty one, one with user
    /// information, or with bytes that do not belong in a host.
    #[must_use]
    pub fn canonical(authority: &'a [u8]) -> Option<Self> {
        // One pass over most hosts, as every request's is read.
        if authority.len() > 1 && authority.iter().all(|byte| CANONICAL.contains(*byte)) {
            let name = authority.strip_suffix(b".").unwrap_or(authority);
            return Some(Self { name: Cow::Borrowed(name), port: None });
        }
        let bracketed = authority.first() == Some(&b'[');
        let colon = authority.iter().rposition(|byte| *byte == b':');
        let end = authority.iter().rposition(|byte| *byte == b']').filter(|_| bracketed);
        let split = colon.filter(|colon| end.is_none_or(|end| *colon > end));
        let (name, port) = match split.and_then(|at| authority.split_at_checked(at)) {
            Some((name, port)) => (name, port.get(1..).filter(|port| !port.is_empty())),
            None => (authority, None),
        };
        let name = name.strip_suffix(b".").unwrap_or(name);
        let plain = |byte: &u8| {
            byte.is_ascii_alphanumeric()
                || b"-._~".contains(byte)
                || (bracketed && b"[]:".contains(byte))
        };
        let digits = port.is_none_or(|port| port.iter().all(u8::is_ascii_digit));
        if name.is_empty() || !name.iter().all(plain) || !digits {
            return None;
        }
        let name = if name.iter().any(u8::is_ascii_uppercase) {
            Cow::Owned(name.to_ascii_lowercase())
        } else {
            Cow::Borrowed(name)
        };
        Some(Self { name, port })
    }

    /// The name, in lower case, without port and without a dot at its end.
    #[must_use]
    pub fn name(&self) -> &[u8] {
        &self.name
    }

    /// The port, if there is one, in digits.
    #[must_use]
    pub fn port(&self) -> Option<&[u8]> {
        self.port
    }

    /// The name, and the port if there is one.
    #[must_use]
    pub fn with_port(&self) -> Cow<'_, [u8]> {
        match self.port {
            Some(port) => Cow::Owned([&self.name, &b":"[..], port].concat()),
            None => Cow::Borrowed(&self.name),
        }
    }
}

/// The bytes of a name that is in canonical form.
static CANONICAL: ByteSet = ByteSet::of((b'a', b'z'), b"0123456789-._~");

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(pattern: &str, authority: &str) -> Truth {
        HostPattern::parse(pattern).unwrap().matches(Host::canonical(authority.as_bytes()).as_ref())
    }

    #[test]
    fn spelling_does_not_matter() {
        for authority in
            ["secret.com", "SECRET.com", "secret.com.", "secret.com:80", "Secret.Com.:8443"]
        {
            assert_eq!(matches("secret.com", authority), Truth::True, "{authority}");
        }
        assert_eq!(matches("*.Example.com", "a.example.COM:1"), Truth::True);
        assert_eq!(matches("secret.com", "notsecret.com"), Truth::False);
        assert_eq!(matches("[::1]", "[::1]:8080"), Truth::True);
    }

    #[test]
    fn a_port_matters_where_the_pattern_has_one() {
        assert_eq!(matches("a.com:80", "a.com:80"), Truth::True);
        assert_eq!(matches("a.com:80", "a.com:81"), Truth::False);
        assert_eq!(matches("a.com:80", "a.com"), Truth::False);
    }

    #[test]
    fn what_is_no_host_is_unknown() {
        for authority in
            ["", ".", ":80", "user@a.com", "a.com:x", "a b", "ä.com", "a.com\0", "a.com/b", "a:1:2"]
        {
            assert_eq!(matches("*", authority), Truth::Unknown, "{authority:?}");
        }
    }
}
