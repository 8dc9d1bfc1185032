//! What keeps requests apart: each key has a bucket of its own.

use filter_core::{Attribute, HeaderName, Headers, View};

use crate::seed::{KeyHasher, Seed};

/// What a request is counted by. Without parts, all requests of the rule are counted together.
#[derive(Clone, Debug)]
pub(crate) struct Key {
    pub(crate) parts: Option<Vec<Part>>,
    pub(crate) missing: MissingKey,
}

/// One part of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// All copies of a header, in order. A client that repeats it gets a bucket of its own, and no one else's.
    Header(HeaderName),
    /// The client's address without its port.
    ClientAddress,
}

/// What to do with a request that lacks a part of the key: none of its copies says anything.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum MissingKey {
    /// The rule does not apply to it.
    Skip,
    /// All such requests share one bucket of the rule.
    #[default]
    Shared,
    /// It is refused.
    Deny,
}

/// Whose bucket it is.
#[derive(Debug)]
pub(crate) enum Subject {
    /// The one with this hash.
    Bucket(KeyHasher),
    /// Nobody's.
    Skip,
    /// It cannot be told, and that is refused.
    Deny,
}

impl Key {
    /// Whose bucket the request counts in.
    pub(crate) fn subject(&self, view: &View<'_>, seed: &Seed) -> Subject {
        let mut hasher = seed.hasher();
        hasher.number(1);
        let known =
            self.parts.as_ref().map(|parts| parts.iter().all(|part| part.feed(view, &mut hasher)));
        match (known, self.missing) {
            (Some(true), _) => Subject::Bucket(hasher),
            (Some(false), MissingKey::Skip) => Subject::Skip,
            (Some(false), MissingKey::Deny) => Subject::Deny,
            (None, _) | (Some(false), MissingKey::Shared) => {
                let mut hasher = seed.hasher();
                hasher.number(0);
                Subject::Bucket(hasher)
            }
        }
    }

    /// Whether a part is the client's address.
    pub(crate) fn asks_address(&self) -> bool {
        self.parts.iter().flatten().any(|part| *part == Part::ClientAddress)
    }
}

impl Part {
    /// Adds the part to the hash, unless the request lacks it.
    fn feed(&self, view: &View<'_>, hasher: &mut KeyHasher) -> bool {
        match self {
            Self::Header(name) => feed_header(view.request(), name.as_str(), hasher),
            Self::ClientAddress => view
                .text(Attribute::SourceAddress)
                .map(|address| hasher.field(without_port(&address)))
                .is_some(),
        }
    }
}

fn feed_header(headers: Headers<'_>, name: &str, hasher: &mut KeyHasher) -> bool {
    let copies = || headers.copies(name);
    hasher.number(u64::try_from(copies().count()).unwrap_or(u64::MAX));
    copies().for_each(|copy| hasher.field(copy));
    copies().any(|copy| !copy.is_empty())
}

/// The address in `ip:port` or `[ip]:port`; whole if it is neither.
fn without_port(address: &[u8]) -> &[u8] {
    let colons = || address.iter().enumerate().filter(|(_, byte)| **byte == b':').map(|(at, _)| at);
    let end = match address.first() {
        Some(b'[') => address.iter().position(|byte| *byte == b']').map(|at| at.saturating_add(1)),
        _ => colons().next().filter(|_| colons().count() == 1),
    };
    end.and_then(|end| address.get(..end)).unwrap_or(address)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use filter_core::fixture::FixtureExchange;
    use filter_core::view::Value;
    use filter_core::{HeaderMap, Phase};

    use super::*;

    /// The hash of the key, or nothing if the request lacks it.
    fn hash(parts: &str, headers: &[(&str, &str)], address: &str) -> Option<(u64, u64)> {
        let mut parts = parts.split(' ').map(|name| match name {
            "address" => Part::ClientAddress,
            name => Part::Header(HeaderName::parse(name).unwrap()),
        });
        let exchange = FixtureExchange {
            request: HeaderMap::from_pairs(headers.iter().copied()),
            attributes: [(Attribute::SourceAddress, Value::Text(address.into()))].into(),
            ..FixtureExchange::default()
        };
        let view = View::new(&exchange, Phase::Request, &[]);
        let mut hasher = Seed::new([7; 16], Duration::ZERO).hasher();
        parts.all(|part| part.feed(&view, &mut hasher)).then(|| hasher.finish())
    }

    #[test]
    fn what_is_sent_apart_is_kept_apart() {
        let many: [&[(&str, &str)]; 7] = [
            &[("a", "1")],
            &[("a", "1"), ("a", "1")],
            &[("a", "1,1")],
            &[("a", "1"), ("b", "2")],
            &[("a", "12")],
            &[("a", "1"), ("a", "2")],
            &[("a", ""), ("a", "1")],
        ];
        let mut hashes: Vec<_> =
            many.iter().map(|headers| hash("a", headers, "").unwrap()).collect();
        assert_eq!(hashes[0], hashes[3], "what is no part does not matter");
        hashes.remove(3);
        hashes.sort_unstable();
        hashes.dedup();
        assert_eq!(hashes.len(), 6);
        let two = |a, b| hash("a b", &[("a", a), ("b", b)], "").unwrap();
        assert_ne!(two("1", "23"), two("12", "3"));
        let across = hash("a b", &[("a", "1"), ("a", "2"), ("b", "3")], "").unwrap();
        assert_ne!(across, hash("a b", &[("a", "1"), ("b", "2"), ("b", "3")], "").unwrap());
    }

    #[test]
    fn a_header_that_says_nothing_is_missing() {
        assert_eq!(hash("a", &[], ""), None);
        assert_eq!(hash("a", &[("a", "")], ""), None);
        assert_eq!(hash("a b", &[("a", "1")], ""), None);
        assert_eq!(hash("address", &[], ""), None);
    }

    #[test]
    fn a_client_is_its_address_whatever_its_port() {
        assert_eq!(hash("address", &[], "10.0.0.1:5"), hash("address", &[], "10.0.0.1:77"));
        for (address, ip) in [
            ("10.0.0.1:50000", "10.0.0.1"),
            ("[2001:db8::1]:50000", "[2001:db8::1]"),
            ("10.0.0.1", "10.0.0.1"),
            ("2001:db8::1", "2001:db8::1"),
            ("/run/a.sock", "/run/a.sock"),
            ("[broken", "[broken"),
        ] {
            assert_eq!(without_port(address.as_bytes()), ip.as_bytes(), "{address}");
        }
    }
}
