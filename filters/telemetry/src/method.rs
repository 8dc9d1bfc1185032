//! Request methods as a closed list: what is not on it shares one name, so that no client can invent label values.

use serde::de::{Error as _, Unexpected};
use serde::{Deserialize, Deserializer};

/// The methods of OpenTelemetry's `http.request.method`: RFC 9110 §9.3, PATCH (RFC 5789) and QUERY, then `_OTHER`
/// for the rest. Their case matters.
const NAMES: [&str; 11] = [
    "GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH", "QUERY",
    "_OTHER",
];

/// A known method, or the one that stands for all others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Method(u8);

impl Method {
    /// The one that stands for all others.
    const OTHER: Self = Self(10);

    /// The method that was sent as `name`.
    pub(crate) fn of(name: &[u8]) -> Self {
        // Whoever sends the name of that one means it too.
        let known = NAMES.iter().zip(0..).find(|(known, _)| known.as_bytes() == name);
        known.map_or(Self::OTHER, |(_, index)| Self(index))
    }

    /// The method that a document writes in lower case, as OpenAPI does.
    pub(crate) fn of_word(word: &str) -> Option<Self> {
        let lower = word.bytes().all(|byte| byte.is_ascii_lowercase());
        lower.then(|| Self::known(word.to_ascii_uppercase().as_bytes())).flatten()
    }

    /// Its name.
    pub(crate) fn as_str(self) -> &'static str {
        NAMES.get(usize::from(self.0)).copied().unwrap_or("_OTHER")
    }

    fn known(name: &[u8]) -> Option<Self> {
        let method = Self::of(name);
        (method != Self::OTHER).then_some(method)
    }
}

impl<'de> Deserialize<'de> for Method {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        Self::known(name.as_bytes()).ok_or_else(|| {
            D::Error::invalid_value(
                Unexpected::Str(&name),
                &"GET, HEAD, POST, PUT, DELETE, CONNECT, OPTIONS, TRACE, PATCH or QUERY",
            )
        })
    }
}

/// A set of methods.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Methods(u16);

impl Methods {
    /// Every method, unknown ones too.
    pub(crate) const ALL: Self = Self((1 << NAMES.len()) - 1);

    /// Whether the method is one of these.
    pub(crate) fn contains(self, method: Method) -> bool {
        self.overlaps(Self::only(method))
    }

    /// Whether some method is in both sets.
    pub(crate) fn overlaps(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    /// Those of these that are not in the other set.
    pub(crate) fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// Whether there is none.
    pub(crate) fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The names of these methods, in a fixed order.
    pub(crate) fn names(self) -> impl Iterator<Item = &'static str> {
        (0_u8..)
            .zip(NAMES)
            .filter(move |(index, _)| self.contains(Method(*index)))
            .map(|(_, name)| name)
    }

    /// Where the method stands among [`Methods::names`].
    pub(crate) fn position(self, method: Method) -> usize {
        let before = Self::only(method).0.wrapping_sub(1);
        usize::try_from((self.0 & before).count_ones()).unwrap_or_default()
    }

    /// This method alone.
    pub(crate) fn only(method: Method) -> Self {
        Self(1_u16.wrapping_shl(method.0.into()))
    }
}

impl FromIterator<Method> for Methods {
    fn from_iter<I: IntoIterator<Item = Method>>(methods: I) -> Self {
        Self(methods.into_iter().fold(0, |set, method| set | Self::only(method).0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_known_methods_have_a_name_of_their_own() {
        for (sent, name) in [
            ("GET", "GET"),
            ("QUERY", "QUERY"),
            ("get", "_OTHER"),
            ("", "_OTHER"),
            ("_OTHER", "_OTHER"),
        ] {
            let method = Method::of(sent.as_bytes());
            assert_eq!(
                Methods::ALL.names().nth(Methods::ALL.position(method)),
                Some(name),
                "{sent}"
            );
        }
        assert!(serde_json::from_str::<Method>("\"_OTHER\"").is_err());
        assert!(serde_json::from_str::<Method>("\"get\"").is_err());
    }

    #[test]
    fn a_set_numbers_its_members() {
        let methods: Methods = [Method::of(b"PATCH"), Method::of(b"POST")].into_iter().collect();
        assert_eq!(methods.names().collect::<Vec<_>>(), ["POST", "PATCH"]);
        assert_eq!(methods.position(Method::of(b"PATCH")), 1);
        assert!(!methods.contains(Method::of(b"GET")));
        assert!(methods.overlaps(Methods::ALL));
        assert_eq!(Methods::ALL.names().count(), NAMES.len());
    }
}
