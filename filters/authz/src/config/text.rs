//! Strings that must say something.

use filter_core::headers::{HeaderName, OwnedHeader};
use serde::de::IntoDeserializer as _;
use serde::de::value::{Error, StrDeserializer};

use crate::token::Prefix;

/// Declares a string that must say something: what it is read as, how, and what is expected.
macro_rules! text {
    ($name:ident($inner:ty), $parse:expr, $expected:expr) => {
        #[derive(Debug)]
        pub(super) struct $name(pub(super) $inner);

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = String::deserialize(deserializer)?;
                let parse: fn(&str) -> Option<$inner> = $parse;
                parse(&text).map(Self).ok_or_else(|| {
                    let found = serde::de::Unexpected::Str(&text);
                    serde::de::Error::invalid_value(found, &$expected)
                })
            }
        }
    };
}

pub(super) use text;

text!(
    Name(String),
    |text| (!text.is_empty()).then(|| text.to_owned()),
    "a string that is not empty"
);
text!(
    HeaderPrefix(Prefix),
    |text| (text.is_empty() || !text.trim().is_empty()).then(|| Prefix::parse(text)),
    "a prefix that is not blank"
);
// A cookie's name is a token too (RFC 6265 §4.1.1), but its case counts.
text!(
    CookieName(String),
    |text| HeaderName::parse(text).map(|_| text.to_owned()),
    "the name of a cookie"
);
text!(
    ReadHeader(HeaderName),
    |text| {
        let name = HeaderName::parse(text)?;
        let removable: StrDeserializer<'_, Error> = text.into_deserializer();
        let credential = ["authorization", "proxy-authorization"].contains(&name.as_str());
        (credential || OwnedHeader::deserialize(removable).is_ok()).then_some(name)
    },
    "a header that can hold a token and be taken away"
);
text!(
    ExactPrincipal(String),
    |text| {
        let (trust_domain, path) = text.split_once('/')?;
        let plain = text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'*');
        let whole = !trust_domain.is_empty() && !path.is_empty() && !text.contains("://");
        (plain && whole).then(|| text.to_owned())
    },
    "a principal without `spiffe://` and wildcards"
);
