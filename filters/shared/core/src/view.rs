//! What a filter may ask about the exchange at hand.

use crate::matching::Truth;
use crate::{Copies, Edit, Expression, HeaderMap, Headers, Phase};

/// Reads one exchange, on first ask. The host implements it over Envoy, the fixture over a case.
pub trait Exchange {
    /// The request's headers; empty in the response phase, where the proxy no longer offers them. In the log phase
    /// they are what the upstream was sent.
    fn request_headers(&self) -> &HeaderMap;

    /// The response's headers; empty in the request phase.
    fn response_headers(&self) -> &HeaderMap;

    /// One of [`Exchange::request_headers`], unless it is repeated. A host that has not read them all yet may read this one
    /// alone.
    fn lone_request_header(&self, name: &str) -> Option<Vec<u8>> {
        only(self.request_headers(), name)
    }

    /// An attribute that the filter declared for this phase, if the proxy has it now.
    fn attribute(&self, attribute: Attribute) -> Option<Value>;

    /// Whether an expression that the filter stated for this phase holds of the exchange.
    fn holds(&self, expression: &Expression) -> Truth;
}

/// One header of these, unless it is repeated.
#[must_use]
pub fn only(headers: &HeaderMap, name: &str) -> Option<Vec<u8>> {
    match Headers::new(headers, &[]).only(name) {
        Copies::One(value) => Some(value.to_vec()),
        Copies::None | Copies::Many => None,
    }
}

/// One phase of one exchange, as a filter sees it.
#[derive(Clone, Copy)]
pub struct View<'a> {
    exchange: &'a dyn Exchange,
    phase: Phase,
    edits: &'a [Edit],
}

impl<'a> View<'a> {
    /// `exchange` in `phase`, with `edits` to that phase's headers already decided by filters before.
    #[must_use]
    pub fn new(exchange: &'a dyn Exchange, phase: Phase, edits: &'a [Edit]) -> Self {
        Self { exchange, phase, edits }
    }

    /// The edits that are decided and not yet applied.
    #[must_use]
    pub fn edits(self) -> &'a [Edit] {
        self.edits
    }

    /// The same view over these edits instead: those it had, and what was decided since.
    #[must_use]
    pub fn over(self, edits: &'a [Edit]) -> Self {
        Self { edits, ..self }
    }

    /// The phase that is being decided.
    #[must_use]
    pub fn phase(self) -> Phase {
        self.phase
    }

    /// The request's headers.
    #[must_use]
    pub fn request(self) -> Headers<'a> {
        let edits = if self.phase == Phase::Request { self.edits } else { &[] };
        Headers::new(self.exchange.request_headers(), edits)
    }

    /// One header of the request as it went to the upstream, unless it is repeated; for the log phase, where there are no
    /// edits. Whoever asks for several had better ask for [`View::request`] first.
    #[must_use]
    pub fn sent_header(self, name: &str) -> Option<Vec<u8>> {
        self.exchange.lone_request_header(name)
    }

    /// The response's headers.
    #[must_use]
    pub fn response(self) -> Headers<'a> {
        let edits = if self.phase == Phase::Response { self.edits } else { &[] };
        Headers::new(self.exchange.response_headers(), edits)
    }

    /// A text attribute as bytes; absent when the proxy has none or an empty one.
    #[must_use]
    pub fn text(self, attribute: Attribute) -> Option<Vec<u8>> {
        match self.exchange.attribute(attribute) {
            Some(Value::Text(text)) if !text.is_empty() => Some(text),
            _ => None,
        }
    }

    /// A numeric attribute, in the unit that [`Attribute`] states.
    #[must_use]
    pub fn number(self, attribute: Attribute) -> Option<i64> {
        match self.exchange.attribute(attribute) {
            Some(Value::Number(number)) => Some(number),
            _ => None,
        }
    }

    /// Whether an expression that the filter stated for this phase holds of the exchange, as the proxy has it: without
    /// edits that are not applied yet. Unknown if it fails, or yields anything but a boolean.
    #[must_use]
    pub fn holds(self, expression: &Expression) -> Truth {
        self.exchange.holds(expression)
    }
}

/// An attribute of Envoy (its documentation's "Attributes" page), by the name that CEL gives it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Attribute {
    /// `source.address`: the client's `ip:port`, from X-Forwarded-For as far as the proxy is told to trust it.
    SourceAddress,
    /// `destination.address`: the `ip:port` that the client connected to.
    DestinationAddress,
    /// `destination.port`: its port.
    DestinationPort,
    /// `xds.listener_direction`: for whom the listener is, as Envoy's `TrafficDirection`: 1 for what comes to the workload, 2
    /// for what goes out of it, and at Istio's gateways; 0 or absent where nobody said.
    ListenerDirection,
    /// `connection.requested_server_name`: the name that the client asked for in its TLS greeting (SNI).
    RequestedServerName,
    /// `connection.uri_san_peer_certificate`: the first URI of the client's certificate. The proxy tells no other. Where
    /// HBONE ended in a listener before this one, as in a waypoint, it is what that listener left in
    /// [`ISTIO_PEER_PRINCIPAL`].
    PeerUri,
    /// `filter_state['outrigger.direct_remote_ip']`: the address at the other end of the connection, if a
    /// `set_filter_state` filter before us left it there. There is no attribute for it.
    DirectRemoteIp,
    /// A claim of the token that Envoy's `jwt_authn` filter verified: `metadata.filter_metadata[...][PAYLOAD][CLAIM]`,
    /// where PAYLOAD is its `payload_in_metadata`. Text only; a number comes as eight bytes of a float.
    JwtClaim {
        /// The name under which the filter leaves the claims.
        payload: &'static str,
        /// The claim.
        claim: &'static str,
    },
    /// `request.duration`: nanoseconds from the first byte of the request to the last of the response. Log phase.
    RequestDuration,
    /// `response.code`: the status sent downstream; absent when the client left first.
    ResponseCode,
    /// `response.code_details`: what produced the response.
    ResponseCodeDetails,
    /// `response.flags`: Envoy's response flags as a bit mask.
    ResponseFlags,
    /// `response.grpc_status`: meaningful for gRPC only; the proxy derives one for plain HTTP too.
    ResponseGrpcStatus,
    /// `xds.route_name`: the name of the route taken.
    RouteName,
    /// `xds.cluster_name`: the name of the upstream cluster.
    ClusterName,
    /// `connection.sha256_peer_certificate_digest`: the SHA-256 of the certificate that the client showed, in
    /// hexadecimal; absent without one.
    PeerCertificateDigest,
    /// `request.protocol`: `HTTP/1.0`, `HTTP/1.1`, `HTTP/2` or `HTTP/3`.
    RequestProtocol,
    /// `request.size`: bytes of the request's body. Log phase.
    RequestSize,
    /// `response.size`: bytes of the response's body. Log phase.
    ResponseSize,
    /// `xds.upstream_host_metadata.filter_metadata.istio.workload`: what Istio says of the host that the request went to,
    /// `WORKLOAD;NAMESPACE;SERVICE;REVISION;CLUSTER`. Not in the request phase.
    UpstreamWorkload,
    /// `filter_state['wasm.NAME']`, as published by a filter before; NAME is an identifier.
    FilterState(&'static str),
}

/// Where a native filter leaves the address at the other end of the connection, for [`Attribute::DirectRemoteIp`].
pub const DIRECT_REMOTE_IP: &str = "outrigger.direct_remote_ip";

/// The filter state in which Istio's proxies pass the URI of the client's certificate from the listener that HBONE ends
/// at to the one behind it, which has no TLS of its own. Nothing but the proxy's configuration can write it.
pub const ISTIO_PEER_PRINCIPAL: &str = "io.istio.peer_principal";

/// The filter of Envoy that verifies tokens, as it names its metadata.
pub const JWT_AUTHN: &str = "envoy.filters.http.jwt_authn";

/// What an attribute's bytes mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Bytes.
    Text,
    /// A signed 64-bit integer.
    Number,
}

impl Attribute {
    /// The path of the attribute, part by part.
    #[must_use]
    pub fn path(self) -> Vec<&'static str> {
        match self {
            Self::SourceAddress => vec!["source", "address"],
            Self::DestinationAddress => vec!["destination", "address"],
            Self::DestinationPort => vec!["destination", "port"],
            Self::ListenerDirection => vec!["xds", "listener_direction"],
            Self::RequestedServerName => vec!["connection", "requested_server_name"],
            Self::PeerUri => vec!["connection", "uri_san_peer_certificate"],
            Self::DirectRemoteIp => vec!["filter_state", DIRECT_REMOTE_IP],
            Self::JwtClaim { payload, claim } => {
                vec!["metadata", "filter_metadata", JWT_AUTHN, payload, claim]
            }
            Self::RequestDuration => vec!["request", "duration"],
            Self::ResponseCode => vec!["response", "code"],
            Self::ResponseCodeDetails => vec!["response", "code_details"],
            Self::ResponseFlags => vec!["response", "flags"],
            Self::ResponseGrpcStatus => vec!["response", "grpc_status"],
            Self::RouteName => vec!["xds", "route_name"],
            Self::ClusterName => vec!["xds", "cluster_name"],
            Self::PeerCertificateDigest => vec!["connection", "sha256_peer_certificate_digest"],
            Self::RequestProtocol => vec!["request", "protocol"],
            Self::RequestSize => vec!["request", "size"],
            Self::ResponseSize => vec!["response", "size"],
            Self::UpstreamWorkload => {
                vec!["xds", "upstream_host_metadata", "filter_metadata", "istio", "workload"]
            }
            Self::FilterState(name) => vec!["filter_state", "wasm", name],
        }
    }

    /// What the attribute's bytes mean.
    #[must_use]
    pub fn kind(self) -> Kind {
        match self {
            Self::SourceAddress
            | Self::DestinationAddress
            | Self::RequestedServerName
            | Self::PeerUri
            | Self::DirectRemoteIp
            | Self::JwtClaim { .. }
            | Self::ResponseCodeDetails
            | Self::RouteName
            | Self::ClusterName
            | Self::PeerCertificateDigest
            | Self::RequestProtocol
            | Self::UpstreamWorkload
            | Self::FilterState(_) => Kind::Text,
            Self::DestinationPort
            | Self::ListenerDirection
            | Self::RequestDuration
            | Self::RequestSize
            | Self::ResponseSize
            | Self::ResponseCode
            | Self::ResponseFlags
            | Self::ResponseGrpcStatus => Kind::Number,
        }
    }
}

/// The value of an attribute.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// Of [`Kind::Text`].
    Text(Vec<u8>),
    /// Of [`Kind::Number`].
    Number(i64),
}
