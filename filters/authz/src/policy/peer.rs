//! Who is at the other end of the connection, by its certificate: a SPIFFE identity as Istio issues them,
//! `spiffe://TRUST-DOMAIN/ns/NAMESPACE/sa/SERVICE-ACCOUNT`.
//!
//! Of a certificate's names the proxy tells the first URI only; by SPIFFE's X.509-SVID standard (§2) there is one.

use filter_core::matching::{StringPattern, Truth};

use super::Reading;
use super::glob::Glob;

const SCHEME: &[u8] = b"spiffe://";

/// The peer, as its certificate names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Peer {
    /// There is no certificate, or none with a URI.
    None,
    /// This URI.
    Uri(Vec<u8>),
    /// Somebody of whom a proxy before us tells nothing clear.
    Unclear,
}

/// A SPIFFE identity, in parts.
struct Spiffe<'a> {
    /// All of it but the scheme.
    principal: &'a [u8],
    trust_domain: &'a [u8],
    workload: Workload<'a>,
}

/// What the path of a SPIFFE identity says.
enum Workload<'a> {
    /// A namespace and a service account in it.
    Account(&'a [u8], &'a [u8]),
    /// Neither: it is of somebody else's making.
    Other,
    /// Something of the kind, that could be read in several ways.
    Odd,
}

impl Peer {
    /// The peer with this URI in its certificate.
    pub(crate) fn of(uri: Option<Vec<u8>>) -> Self {
        uri.map_or(Self::None, Self::Uri)
    }
}

impl<'a> Spiffe<'a> {
    /// The parts of a SPIFFE identity; `None` for what is none.
    fn parse(uri: &'a [u8]) -> Option<Self> {
        let principal = uri.strip_prefix(SCHEME)?;
        // RFC 3986 §2 has no others in a URI, and a NUL would end the name for some readers.
        if !principal.iter().all(u8::is_ascii_graphic) {
            return None;
        }
        let mut segments = principal.split(|byte| *byte == b'/');
        let trust_domain = segments.next().filter(|domain| !domain.is_empty())?;
        let segments: Vec<&[u8]> = segments.collect();
        Some(Self { principal, trust_domain, workload: Workload::of(&segments) })
    }
}

impl<'a> Workload<'a> {
    /// Istio writes four segments. Others may write further pairs around them, and then a name could look like a key.
    fn of(segments: &[&'a [u8]]) -> Self {
        match segments {
            [b"ns", namespace, b"sa", account] if !namespace.is_empty() && !account.is_empty() => {
                Self::Account(namespace, account)
            }
            _ if segments.iter().any(|segment| matches!(*segment, b"ns" | b"sa")) => Self::Odd,
            _ => Self::Other,
        }
    }
}

/// A pattern over the peer.
#[derive(Clone, Debug)]
pub(crate) enum PeerPattern {
    /// `principals`: the identity without its scheme.
    Principal(StringPattern),
    /// `namespaces`.
    Namespace(StringPattern),
    /// `serviceAccounts`: a namespace and an account in it.
    ServiceAccount(Box<[u8]>, Box<[u8]>),
    /// `trustDomains`.
    TrustDomain(StringPattern),
    /// What Istio makes of any of them: one of these.
    Globs(Box<[Glob]>),
    /// What Istio makes of `*` in `principals`: any name.
    Any,
}

/// Which part of the peer's identity a field of a policy is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// All of it, without the scheme.
    Principal,
    /// The namespace.
    Namespace,
    /// The service account, with its namespace.
    ServiceAccount,
    /// The trust domain.
    TrustDomain,
}

impl PeerPattern {
    /// The pattern that `text` writes for this part. A service account without a namespace is one of `own`.
    ///
    /// # Errors
    /// What was expected instead.
    pub(crate) fn parse(
        part: Part,
        text: &str,
        own: Option<&str>,
        reading: Reading,
    ) -> Result<Self, &'static str> {
        let pattern = || StringPattern::parse(text).ok_or("`abc`, `abc*`, `*abc` or `*`");
        match (part, reading) {
            (Part::ServiceAccount, _) => Self::service_account(text, own, reading),
            (Part::Principal, Reading::Strict) => match text.as_bytes().strip_prefix(SCHEME) {
                None => pattern().map(Self::Principal),
                Some(_) => Err("a principal without `spiffe://`"),
            },
            (Part::Namespace, Reading::Strict) => pattern().map(Self::Namespace),
            (Part::TrustDomain, Reading::Strict) => pattern().map(Self::TrustDomain),
            (Part::Principal, Reading::Istio) => {
                Ok(match StringPattern::as_in_istio(text).ok_or("a principal")? {
                    StringPattern::Present => Self::Any,
                    StringPattern::Suffix(_) => Self::glob(&[Some("spiffe://"), Some(text)]),
                    plain => Self::Principal(plain),
                })
            }
            (Part::Namespace, Reading::Istio) => {
                Ok(Self::glob(&[Some("*/ns/"), Some(text), Some("/*")]))
            }
            (Part::TrustDomain, Reading::Istio) => {
                Ok(Self::glob(&[Some("spiffe://"), Some(text), Some("/*")]))
            }
        }
    }

    fn glob(parts: &[Option<&str>]) -> Self {
        Self::Globs(Box::new([Glob::new(parts)]))
    }

    fn service_account(
        text: &str,
        own: Option<&str>,
        reading: Reading,
    ) -> Result<Self, &'static str> {
        let (namespace, account) = match (text.split_once('/'), own) {
            (Some(both), _) => both,
            (None, Some(own)) => (own, text),
            (None, None) => {
                return Err("`NAMESPACE/SERVICE-ACCOUNT`, or a field `namespace` in the policy");
            }
        };
        let name = |text: &str| !text.is_empty() && !text.contains(['*', '/', '+']);
        if !name(namespace) || !name(account) {
            return Err("`NAMESPACE/SERVICE-ACCOUNT` without wildcards");
        }
        Ok(match reading {
            Reading::Strict => {
                Self::ServiceAccount(namespace.as_bytes().into(), account.as_bytes().into())
            }
            // `spiffe://.+/ns/NAMESPACE/(.+/|)sa/ACCOUNT(/.+)?`
            Reading::Istio => {
                let head = format!("/ns/{namespace}/");
                let (scheme, head) = (Some("spiffe://"), Some(head.as_str()));
                let (inner, last) = (format!("/sa/{account}"), format!("sa/{account}"));
                let (inner, last, rest) = (Some(inner.as_str()), Some(last.as_str()), Some("/"));
                Self::Globs(Box::new([
                    Glob::new(&[scheme, None, head, last]),
                    Glob::new(&[scheme, None, head, last, rest, None]),
                    Glob::new(&[scheme, None, head, None, inner]),
                    Glob::new(&[scheme, None, head, None, inner, rest, None]),
                ]))
            }
        })
    }

    /// Whether one of these patterns means the peer. A URI that is no SPIFFE identity tells nothing: others may follow
    /// it in the certificate.
    pub(crate) fn any(patterns: &[Self], peer: &Peer, reading: Reading) -> Truth {
        let uri = match peer {
            Peer::Uri(uri) => uri,
            Peer::None => return Truth::False,
            // Istio has nothing of the kind to be compatible with.
            Peer::Unclear => return Truth::Unknown,
        };
        match (Spiffe::parse(uri), reading) {
            (None, Reading::Strict) => Truth::Unknown,
            (spiffe, _) => {
                Truth::any(patterns.iter().map(|pattern| pattern.matches(uri, spiffe.as_ref())))
            }
        }
    }

    fn matches(&self, uri: &[u8], spiffe: Option<&Spiffe<'_>>) -> Truth {
        let spiffe = match (self, spiffe) {
            (Self::Globs(globs), _) => {
                return globs.iter().any(|glob| glob.matches(uri)).into();
            }
            (Self::Any, _) => return Truth::True,
            (_, None) => return Truth::False,
            (_, Some(spiffe)) => spiffe,
        };
        let of_workload = |matches: &dyn Fn(&[u8], &[u8]) -> bool| match spiffe.workload {
            Workload::Account(namespace, account) => matches(namespace, account).into(),
            Workload::Other => Truth::False,
            Workload::Odd => Truth::Unknown,
        };
        match self {
            Self::Principal(pattern) => pattern.matches(spiffe.principal).into(),
            Self::TrustDomain(pattern) => pattern.matches(spiffe.trust_domain).into(),
            Self::Namespace(pattern) => of_workload(&|namespace, _| pattern.matches(namespace)),
            Self::ServiceAccount(namespace, account) => {
                of_workload(&|peers, own| *peers == **namespace && *own == **account)
            }
            Self::Globs(_) | Self::Any => Truth::False,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decide(part: Part, text: &str, reading: Reading, uri: &str) -> Truth {
        let pattern = PeerPattern::parse(part, text, Some("own"), reading).unwrap();
        PeerPattern::any(&[pattern], &Peer::Uri(uri.into()), reading)
    }

    #[test]
    fn every_part_of_an_identity_is_matched_alike_in_both_readings() {
        let uri = "spiffe://td.example/ns/shop/sa/cart";
        for (part, text, matches) in [
            (Part::Principal, "td.example/ns/shop/sa/cart", true),
            (Part::Principal, "td.example/ns/shop/sa/car", false),
            (Part::Principal, "td.example/ns/*", true),
            (Part::Principal, "*/sa/cart", true),
            (Part::Principal, "*", true),
            (Part::Namespace, "shop", true),
            (Part::Namespace, "sho", false),
            (Part::Namespace, "sh*", true),
            (Part::Namespace, "*op", true),
            (Part::Namespace, "cart", false),
            (Part::ServiceAccount, "shop/cart", true),
            (Part::ServiceAccount, "cart", false),
            (Part::ServiceAccount, "shop/car", false),
            (Part::TrustDomain, "td.example", true),
            (Part::TrustDomain, "td.*", true),
            (Part::TrustDomain, "example", false),
        ] {
            for reading in [Reading::Strict, Reading::Istio] {
                assert_eq!(decide(part, text, reading, uri), matches.into(), "{text} {reading:?}");
            }
        }
        let own = "spiffe://td/ns/own/sa/cart";
        assert_eq!(decide(Part::ServiceAccount, "cart", Reading::Strict, own), Truth::True);
    }

    #[test]
    fn what_could_be_read_in_several_ways_is_unknown() {
        for (uri, truth) in [
            ("spiffe://td/ns/a/sa/b/ns/shop/sa/cart", Truth::Unknown),
            ("spiffe://td/x/ns/ns/shop/sa/cart", Truth::Unknown),
            ("spiffe://td/ns/shop", Truth::Unknown),
            ("spiffe://td/ns//sa/cart", Truth::Unknown),
            ("spiffe://td/workload/cart", Truth::False),
            ("https://td/ns/shop/sa/cart", Truth::Unknown),
            ("spiffe:///ns/shop/sa/cart", Truth::Unknown),
            ("spiffe://td/ns/shop/sa/cart\0", Truth::Unknown),
        ] {
            assert_eq!(decide(Part::Namespace, "shop", Reading::Strict, uri), truth, "{uri}");
        }
        let pattern = PeerPattern::parse(Part::Principal, "*", None, Reading::Strict).unwrap();
        assert_eq!(PeerPattern::any(&[pattern], &Peer::None, Reading::Strict), Truth::False);
    }

    #[test]
    fn istio_lets_further_pairs_stand_around_an_account() {
        for uri in ["spiffe://td/ns/shop/x/y/sa/cart", "spiffe://td/ns/shop/sa/cart/x/y"] {
            let decide = |reading| decide(Part::ServiceAccount, "shop/cart", reading, uri);
            let both = (decide(Reading::Strict), decide(Reading::Istio));
            assert_eq!(both, (Truth::Unknown, Truth::True), "{uri}");
        }
        let other = "spiffe://td/ns/shop/sa/cart-x";
        assert_eq!(decide(Part::ServiceAccount, "shop/cart", Reading::Istio, other), Truth::False);
    }

    #[test]
    fn a_service_account_has_a_namespace_and_no_wildcard() {
        for text in ["cart", "*/cart", "shop/*", "shop/", "/cart", "shop/cart/x"] {
            let parsed = PeerPattern::parse(Part::ServiceAccount, text, None, Reading::Strict);
            assert!(parsed.is_err(), "{text}");
        }
    }
}
