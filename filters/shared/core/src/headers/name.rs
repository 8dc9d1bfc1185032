//! What a header is called.

use std::fmt;

use serde::{Deserialize, Deserializer};

/// A header's name, lower-case (RFC 9113 §8.2.1), or a pseudo-header's with its colon.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HeaderName(std::rc::Rc<str>);

impl HeaderName {
    /// A name that is known when the program is written. Lower-case it yourself.
    #[must_use]
    pub fn literal(name: &'static str) -> Self {
        debug_assert!(!name.bytes().any(|byte| byte.is_ascii_uppercase()));
        Self(name.into())
    }

    /// The name in lower case, if it is a token (RFC 9110 §5.6.2). Pseudo-headers are not: no configuration may name
    /// one.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        let token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
        (!name.is_empty() && name.bytes().all(token))
            .then(|| Self(name.to_ascii_lowercase().into()))
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for HeaderName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl fmt::Display for HeaderName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for HeaderName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        Self::parse(&name).ok_or_else(|| {
            serde::de::Error::invalid_value(
                serde::de::Unexpected::Str(&name),
                &"a header name (RFC 9110 §5.1)",
            )
        })
    }
}

/// The name of a header that a filter may take from the client and set itself: not one that frames a message or says
/// where it goes (RFC 9110 §7.6.1, RFC 9113 §8.2.2), nor one that says who sends it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnedHeader(pub HeaderName);

impl OwnedHeader {
    /// Headers that others depend on.
    const TAKEN: [&str; 14] = [
        "authorization",
        "connection",
        "content-length",
        "content-type",
        "cookie",
        "host",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    ];
}

impl<'de> Deserialize<'de> for OwnedHeader {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = HeaderName::deserialize(deserializer)?;
        if Self::TAKEN.contains(&name.as_str()) {
            return Err(serde::de::Error::invalid_value(
                serde::de::Unexpected::Str(name.as_str()),
                &"a header that nothing else depends on",
            ));
        }
        Ok(Self(name))
    }
}
