//! Whose word counts: at the edge nobody's, in the mesh that of peers who are named.

use filter_core::Attribute;
use filter_core::matching::{Facts, StringPattern};

/// Where the proxy stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// Clients are in front of it: whatever they send of ours is taken away.
    Edge,
    /// Peers are in front of it.
    Mesh(Peers),
}

/// Who is believed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Peers {
    /// By the URI of their certificate.
    pub(crate) principals: Vec<StringPattern>,
    pub(crate) application: Application,
}

/// Whether the workload is believed whose requests the proxy sends out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Application {
    Believed,
    Unknown,
}

/// `OUTBOUND` of Envoy's `TrafficDirection`.
const OUTBOUND: i64 = 2;

impl Role {
    /// Whether whoever sent this request is one who is believed.
    pub(crate) fn believes(&self, facts: &Facts<'_>) -> bool {
        let Self::Mesh(peers) = self else { return false };
        match facts.text(Attribute::PeerUri) {
            Some(uri) => peers.principals.iter().any(|pattern| pattern.matches(&uri)),
            // The application speaks plain HTTP to the proxy that sends its requests out, and nobody else can.
            None => {
                peers.application == Application::Believed
                    && facts.number(Attribute::ListenerDirection) == Some(OUTBOUND)
            }
        }
    }

    /// The attributes that it asks for.
    pub(crate) fn attributes(&self) -> Vec<Attribute> {
        match self {
            Self::Edge => Vec::new(),
            Self::Mesh(peers) => match peers.application {
                Application::Believed => vec![Attribute::PeerUri, Attribute::ListenerDirection],
                Application::Unknown => vec![Attribute::PeerUri],
            },
        }
    }
}
