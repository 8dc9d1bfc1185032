//! Where a label's value is taken from.

use filter_core::HeaderName;
use filter_core::view::{Attribute, View};

use crate::end::End;
use crate::error;
use crate::trace::baggage;

/// Where a label's value is taken from, when a request ends.
#[derive(Clone, Debug)]
pub(crate) enum Source {
    /// A header of the request as it went to the upstream, if it came once.
    Header(HeaderName),
    /// A member of the baggage that went to the upstream; of several with this key, the last.
    Baggage(Box<[u8]>),
    /// A claim that `jwt_authn` verified.
    Claim(Attribute),
    /// Who the client's certificate is for: the SPIFFE ID without its scheme, as Istio writes principals.
    Principal,
    /// The same as NAMESPACE/SERVICE-ACCOUNT.
    Workload,
    /// The version that the canary filter chose in a rollout of this name.
    Rollout(String),
    /// The version of HTTP, as OpenTelemetry writes it: `1.1`, `2`.
    Protocol,
    /// The revision of the workload that Istio says the upstream's host is.
    Revision,
}

/// What the canary filter decided, by rollout.
const CANARY: Attribute = Attribute::FilterState("canary");

impl Source {
    /// The attribute that it needs, if any.
    pub(crate) fn attribute(&self) -> Option<Attribute> {
        match self {
            Self::Header(_) | Self::Baggage(_) => None,
            Self::Claim(attribute) => Some(*attribute),
            Self::Principal | Self::Workload => Some(Attribute::PeerUri),
            Self::Rollout(_) => Some(CANARY),
            Self::Protocol => Some(Attribute::RequestProtocol),
            Self::Revision => Some(Attribute::UpstreamWorkload),
        }
    }

    /// What it holds of the exchange at hand, if anything.
    pub(crate) fn read(&self, view: View<'_>, end: End) -> Option<Vec<u8>> {
        let value = match self {
            // Whoever was refused for who it is may have written anything there, and nobody has put it right.
            Self::Header(_) | Self::Baggage(_) if end.error == Some(error::DENIED) => None,
            Self::Header(name) => view.sent_header(name.as_str()),
            _ => self.derive(view),
        };
        value.filter(|value| !value.is_empty())
    }

    /// What is no header is taken from something larger, mostly.
    #[inline(never)]
    fn derive(&self, view: View<'_>) -> Option<Vec<u8>> {
        match self {
            Self::Header(name) => view.sent_header(name.as_str()),
            Self::Baggage(key) => {
                let members = baggage::members(view.request().copies("baggage"));
                let member = members.filter(|member| *member.key == **key).last()?;
                Some(member.text().into_bytes())
            }
            Self::Claim(attribute) => view.text(*attribute),
            Self::Principal => {
                let uri = view.text(Attribute::PeerUri)?;
                uri.strip_prefix(b"spiffe://").map(<[u8]>::to_vec)
            }
            Self::Workload => workload(&view.text(Attribute::PeerUri)?),
            Self::Rollout(rollout) => version(&view.text(CANARY)?, rollout),
            Self::Protocol => {
                let protocol = view.text(Attribute::RequestProtocol)?;
                protocol.strip_prefix(b"HTTP/").map(<[u8]>::to_vec)
            }
            Self::Revision => revision(&view.text(Attribute::UpstreamWorkload)?),
        }
    }

    /// The source in words, to tell tables of learned values apart by.
    pub(crate) fn describe(&self) -> String {
        format!("{self:?}")
    }
}

/// The service account of a SPIFFE ID like `spiffe://cluster.local/ns/shop/sa/cart`, as `shop/cart`.
fn workload(uri: &[u8]) -> Option<Vec<u8>> {
    let mut parts = uri.strip_prefix(b"spiffe://")?.split(|byte| *byte == b'/').skip(1);
    let (ns, namespace, sa, account, end) =
        (parts.next()?, parts.next()?, parts.next()?, parts.next()?, parts.next());
    let named = ns == b"ns" && sa == b"sa" && !namespace.is_empty() && !account.is_empty();
    (named && end.is_none()).then(|| [namespace, b"/", account].concat())
}

/// The version of a rollout in `REASON:ROLLOUT=VERSION,REASON:ROLLOUT=VERSION`.
fn version(decided: &[u8], rollout: &str) -> Option<Vec<u8>> {
    let given = |decision: &'_ [u8]| {
        let rest = decision.splitn(2, |byte| *byte == b':').nth(1)?;
        rest.strip_prefix(rollout.as_bytes())?.strip_prefix(b"=").map(<[u8]>::to_vec)
    };
    decided.split(|byte| *byte == b',').find_map(given)
}

/// The revision in `WORKLOAD;NAMESPACE;SERVICE;REVISION;CLUSTER`.
fn revision(workload: &[u8]) -> Option<Vec<u8>> {
    workload.split(|byte| *byte == b';').nth(3).map(<[u8]>::to_vec)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_workload_is_its_namespace_and_account() {
        assert_eq!(workload(b"spiffe://td/ns/shop/sa/cart").as_deref(), Some(&b"shop/cart"[..]));
        for other in
            ["spiffe://td/ns/shop", "spiffe://td/ns//sa/x", "spiffe://td/ns/a/sa/b/c", "ns/a/sa/b"]
        {
            assert_eq!(workload(other.as_bytes()), None, "{other}");
        }
    }

    #[test]
    fn a_version_is_that_of_its_rollout() {
        let decided = b"bucket:checkout=v2,delegated:route,stable:search=v1";
        assert_eq!(version(decided, "search").as_deref(), Some(&b"v1"[..]));
        for other in ["check", "other", "route", "bucket", "bucket:checkout"] {
            assert_eq!(version(decided, other), None, "{other}");
        }
    }

    #[test]
    fn a_revision_is_the_fourth_part() {
        assert_eq!(revision(b"cart;shop;cart;v2;Kubernetes").as_deref(), Some(&b"v2"[..]));
        assert_eq!(revision(b"cart;shop"), None);
    }
}
