//! What a request is known by: each thing is looked up once, when a rule first asks.

use std::cell::OnceCell;
use std::net::IpAddr;

use filter_core::matching::{Truth, ip};
use filter_core::{Attribute, Expression, Headers, View};

use super::condition::Credential;
use super::line::Line;
use super::peer::Peer;
use super::{Policies, Reading, Xfcc};
use crate::api_key::Client;
use crate::token::{Identity, Said};

/// An address that a rule may ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Endpoint {
    /// The other end of the connection: Istio's `source.ip` and `ipBlocks`.
    Direct,
    /// The client, behind proxies that Envoy trusts: `remote.ip` and `remoteIpBlocks`.
    Remote,
    /// What the client connected to: `destination.ip`.
    Destination,
}

impl Endpoint {
    /// The attribute that tells it.
    pub(crate) fn attribute(self) -> Attribute {
        match self {
            Self::Direct => Attribute::DirectRemoteIp,
            Self::Remote => Attribute::SourceAddress,
            Self::Destination => Attribute::DestinationAddress,
        }
    }
}

/// A request, as far as rules ask about it.
pub(crate) struct Facts<'a> {
    /// What it asks for.
    pub(crate) line: &'a Line<'a>,
    /// Who sent it, by a token.
    pub(crate) identity: Option<&'a Identity<'a>>,
    /// Who sent it, by an API key.
    pub(crate) client: Option<&'a Client<'a>>,
    /// How policies are read.
    pub(crate) reading: Reading,
    view: View<'a>,
    xfcc: Option<&'a Xfcc>,
    connection: OnceCell<Box<Connection>>,
}

/// What the proxy tells of the connection that a request came by. Most policies ask for none of it.
#[derive(Default)]
struct Connection {
    peer: OnceCell<Peer>,
    direct: OnceCell<Option<IpAddr>>,
    remote: OnceCell<Option<IpAddr>>,
    destination: OnceCell<Option<IpAddr>>,
    port: OnceCell<Option<i64>>,
    server_name: OnceCell<Option<Vec<u8>>>,
}

impl<'a> Facts<'a> {
    /// The facts of the request in `view`, which asks for what is in `line`.
    pub(crate) fn new(
        view: View<'a>,
        line: &'a Line<'a>,
        identity: Option<&'a Identity<'a>>,
        client: Option<&'a Client<'a>>,
        policies: &'a Policies,
    ) -> Self {
        Self {
            line,
            identity,
            client,
            reading: policies.reading,
            xfcc: policies.xfcc.as_ref(),
            view,
            connection: OnceCell::new(),
        }
    }

    fn connection(&self) -> &Connection {
        self.connection.get_or_init(Box::default)
    }

    /// Its headers.
    pub(crate) fn headers(&self) -> Headers<'a> {
        self.view.request()
    }

    /// What is said of the sender by a credential of this kind, if there is one.
    pub(crate) fn said(&self, credential: Credential) -> Option<Said<'a>> {
        match credential {
            Credential::Token => self.identity.map(Identity::says),
            Credential::ApiKey => self.client.map(Client::says),
        }
    }

    /// Who is at the other end of the connection, by its certificate, or behind it, by a proxy that is believed.
    pub(crate) fn peer(&self) -> &Peer {
        self.connection().peer.get_or_init(|| {
            let peer = Peer::of(self.view.text(Attribute::PeerUri));
            match self.xfcc {
                Some(xfcc) => xfcc.source(peer, self.headers()),
                None => peer,
            }
        })
    }

    /// An address; `None` if the proxy does not tell it, or it is no IP address.
    pub(crate) fn address(&self, endpoint: Endpoint) -> Option<IpAddr> {
        let connection = self.connection();
        let cell = match endpoint {
            Endpoint::Direct => &connection.direct,
            Endpoint::Remote => &connection.remote,
            Endpoint::Destination => &connection.destination,
        };
        let read = || ip::address_of(&self.view.text(endpoint.attribute())?);
        *cell.get_or_init(read)
    }

    /// Whether the proxy finds that an expression holds. The host asks it once.
    pub(crate) fn holds(&self, expression: &Expression) -> Truth {
        self.view.holds(expression)
    }

    /// The port that the client connected to.
    pub(crate) fn port(&self) -> Option<i64> {
        *self.connection().port.get_or_init(|| self.view.number(Attribute::DestinationPort))
    }

    /// The name that the client asked for in its TLS greeting.
    pub(crate) fn server_name(&self) -> Option<&[u8]> {
        let read = || self.view.text(Attribute::RequestedServerName);
        self.connection().server_name.get_or_init(read).as_deref()
    }
}
