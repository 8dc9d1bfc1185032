//! One Envoy in which every set of policies is held thrice: by its own filters, by ours, and by ours with `compat`.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;

use integration::folder::Folder;
use integration::{Bootstrap, Client, Envoy, Listener, Plugin, Upstream};
use serde_json::{Value, json};

use crate::native;
use crate::policies::{Bed, ISSUER, OTHER_ISSUER};

/// Who decides.
pub(crate) const JUDGES: [&str; 3] = ["native", "strict", "compat"];

/// The SPIFFE identities of clients on the secured bed, and what they call the server.
pub(crate) const PEERS: [(&str, &str); 5] = [
    ("spiffe://td.example/ns/shop/sa/cart", "shop.example"),
    ("spiffe://td.example/ns/pay/sa/pay.v1", "api.example"),
    ("spiffe://td.example/ns/pay/sa/pay-v1", "other"),
    ("spiffe://other/ns/shop/sa/cart", "shop.example"),
    ("spiffe://td.example/ns/shop/x/y/sa/cart", "shop.example"),
];

/// Every listener of a set, asked by name of judge and peer.
pub(crate) struct Beds {
    _envoy: Envoy,
    _upstream: Upstream,
    clients: BTreeMap<String, Client>,
}

impl Beds {
    /// Starts an Envoy over these sets of policies.
    pub(crate) fn start(sets: &[(Bed, Vec<Value>)]) -> Self {
        let folder = Folder::temporary().unwrap();
        let upstream = Upstream::start("v1").unwrap();
        let mut bootstrap = Bootstrap::before("authz", &[("v1", upstream.address())]).unwrap();
        let demo = template(bootstrap.demo().unwrap());
        let certificates = Certificates::new();
        let (mut listeners, mut clusters, mut names) = (Vec::new(), Vec::new(), Vec::new());
        for (index, (bed, policies)) in sets.iter().enumerate() {
            for judge in JUDGES {
                let name = format!("{index}-{judge}");
                let listener = demo.clone().named(&name).unwrap();
                let listener = listener.with_filters(filters(judge, policies)).unwrap();
                if *bed == Bed::Plain {
                    listeners.push(listener);
                    names.push(name);
                    continue;
                }
                let path = folder.path().join(&name);
                listeners.push(listener.secured(&path, certificates.server()).unwrap());
                for (peer, (_, sni)) in PEERS.iter().enumerate() {
                    let front = format!("{name}-{peer}");
                    clusters.push(cluster(&front, &path, &certificates.client(peer, sni)));
                    listeners.push(Listener::forwarding(&front, &front));
                    names.push(front);
                }
            }
        }
        bootstrap.set_listeners(listeners).unwrap();
        bootstrap.add_clusters(clusters).unwrap();
        let envoy = Envoy::start_in(folder, &bootstrap, 1).unwrap();
        let addresses: BTreeMap<String, SocketAddr> =
            names.into_iter().map(|name| (name.clone(), envoy.listener(&name).unwrap())).collect();
        let clients =
            addresses.into_iter().map(|(name, address)| (name, Client::new(address))).collect();
        Self { _envoy: envoy, _upstream: upstream, clients }
    }

    /// The client of one listener.
    pub(crate) fn client(&mut self, set: usize, judge: &str, peer: Option<usize>) -> &mut Client {
        let name = match peer {
            None => format!("{set}-{judge}"),
            Some(peer) => format!("{set}-{judge}-{peer}"),
        };
        self.clients.get_mut(&name).unwrap()
    }
}

/// A listener that takes paths as they are and the client's address from `x-forwarded-for`, and whose answers are what
/// decided them.
fn template(demo: Listener) -> Listener {
    let answer = json!({"match": {"prefix": "/"}, "direct_response": {"status": 200}});
    let details = json!({"body_format": {"text_format_source": {"inline_string": "%RESPONSE_CODE_DETAILS%"}}});
    demo.with_raw_paths()
        .unwrap()
        .with_first_route(answer)
        .unwrap()
        .managed("use_remote_address", false.into())
        .unwrap()
        .managed("access_log", json!([]))
        .unwrap()
        .managed("local_reply_config", details)
        .unwrap()
}

fn filters(judge: &str, policies: &[Value]) -> Vec<Value> {
    if judge == "native" {
        return native::filters(policies);
    }
    let issuer = |name| json!({"issuer": name, "jwks": cases::JWKS, "forwardOriginalToken": true});
    let mut configuration = json!({
        "jwtRules": [issuer(ISSUER), issuer(OTHER_ISSUER)],
        "directRemoteIp": "filterState",
        "policies": policies,
    });
    if judge == "compat" {
        configuration["compat"] = "istio".into();
    }
    vec![direct_remote_ip(), Plugin::shipped("authz", &configuration).to_filter().unwrap()]
}

/// The native filter that leaves the direct remote address where ours finds it.
fn direct_remote_ip() -> Value {
    let value = json!({
        "object_key": "outrigger.direct_remote_ip",
        "factory_key": "envoy.string",
        "format_string": {"text_format_source": {"inline_string": "%DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT%"}},
    });
    json!({
        "name": "direct-remote-ip",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.set_filter_state.v3.Config",
            "on_request_headers": [value],
        },
    })
}

fn cluster(name: &str, path: &Path, transport_socket: &Value) -> Value {
    let endpoint = json!({"endpoint": {"address": {"pipe": {"path": path}}}});
    json!({
        "name": name,
        "load_assignment": {"cluster_name": name, "endpoints": [{"lb_endpoints": [endpoint]}]},
        "transport_socket": transport_socket,
    })
}

/// An authority, and what it has issued.
struct Certificates {
    authority: String,
    server: (String, String),
    clients: Vec<(String, String)>,
}

impl Certificates {
    fn new() -> Self {
        use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, SanType};

        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority = params.self_signed(&key).unwrap().pem();
        let issuer = Issuer::new(params, key);
        let issue = |name: SanType| {
            let key = KeyPair::generate().unwrap();
            let mut params = CertificateParams::default();
            params.subject_alt_names = vec![name];
            // Other than the authority's, or the certificate would be taken for one that signed itself.
            params.distinguished_name.push(rcgen::DnType::CommonName, "outrigger");
            (params.signed_by(&key, &issuer).unwrap().pem(), key.serialize_pem())
        };
        let uri = |uri: &str| SanType::URI(uri.try_into().unwrap());
        let clients = PEERS.iter().map(|(peer, _)| issue(uri(peer))).collect();
        Self { authority, server: issue(uri("spiffe://td.example/ns/shop/sa/server")), clients }
    }

    fn context(&self, (certificate, key): &(String, String)) -> Value {
        json!({
            "tls_certificates": [{
                "certificate_chain": {"inline_string": certificate},
                "private_key": {"inline_string": key},
            }],
            "validation_context": {"trusted_ca": {"inline_string": self.authority}},
        })
    }

    fn server(&self) -> Value {
        tls(
            "DownstreamTlsContext",
            json!({
                "common_tls_context": self.context(&self.server),
                "require_client_certificate": true,
            }),
        )
    }

    fn client(&self, peer: usize, sni: &str) -> Value {
        let context = self.context(&self.clients[peer]);
        tls("UpstreamTlsContext", json!({"common_tls_context": context, "sni": sni}))
    }
}

fn tls(kind: &str, mut config: Value) -> Value {
    let kind = format!("type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.{kind}");
    config["@type"] = kind.into();
    json!({"name": "envoy.transport_sockets.tls", "typed_config": config})
}
