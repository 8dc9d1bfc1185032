//! Whether what a request says of its trace is believed, by who sent it.

use filter_core::matching::{IpBlock, StringPattern, ip};
use filter_core::{Attribute, View};

/// Whose traces are continued as they come.
#[derive(Debug)]
pub(crate) struct Trust {
    /// The trusted; any one of them will do.
    pub(crate) sources: Vec<Source>,
    /// What becomes of a trace that somebody else sends.
    pub(crate) others: Others,
}

/// What becomes of a trace whose sender is not trusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Others {
    /// It ends here, and what the request carried is gone.
    Restart,
    /// It goes on, but what is recorded is decided here.
    Continue,
}

/// How far a sender is believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Belief {
    /// In all.
    Full,
    /// In which trace it is, and not in whether to record it.
    Place,
    /// In nothing.
    None,
}

/// Somebody who is trusted: all that is given must match.
#[derive(Debug)]
pub(crate) struct Source {
    /// By certificate: SPIFFE identities without their scheme.
    pub(crate) principals: Option<Vec<StringPattern>>,
    /// By the client's address, behind proxies that the proxy trusts.
    pub(crate) remote_ip_blocks: Option<Vec<IpBlock>>,
}

impl Trust {
    /// How far the sender is believed.
    pub(crate) fn belief(&self, view: &View<'_>) -> Belief {
        match self.others {
            _ if self.sources.iter().any(|source| source.is(view)) => Belief::Full,
            Others::Continue => Belief::Place,
            Others::Restart => Belief::None,
        }
    }

    /// What must be known to tell.
    pub(crate) fn attributes(&self) -> Vec<Attribute> {
        let by = |attribute, asks: fn(&Source) -> bool| {
            self.sources.iter().any(asks).then_some(attribute)
        };
        let peer = by(Attribute::PeerUri, |source| source.principals.is_some());
        let address = by(Attribute::SourceAddress, |source| source.remote_ip_blocks.is_some());
        peer.into_iter().chain(address).collect()
    }
}

impl Source {
    fn is(&self, view: &View<'_>) -> bool {
        let principal = |patterns: &Vec<StringPattern>| {
            view.text(Attribute::PeerUri).is_some_and(|uri| {
                let principal = uri.strip_prefix(b"spiffe://").unwrap_or_default();
                // RFC 3986 §2 has no others in a URI, and a NUL would end the name for some readers.
                principal.iter().all(u8::is_ascii_graphic)
                    && !principal.is_empty()
                    && patterns.iter().any(|pattern| pattern.matches(principal))
            })
        };
        let address = |blocks: &Vec<IpBlock>| {
            let address = view.text(Attribute::SourceAddress);
            let address = address.and_then(|endpoint| ip::address_of(&endpoint));
            address.is_some_and(|address| blocks.iter().any(|block| block.contains(address)))
        };
        self.principals.as_ref().is_none_or(principal)
            && self.remote_ip_blocks.as_ref().is_none_or(address)
    }
}
