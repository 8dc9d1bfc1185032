//! Who asks behind a proxy that is believed (`xfcc`), over real mutual TLS. One Envoy plays all: what the listener `demo`
//! gets in the clear, it sends with the certificate and to the listener that headers choose: to `checked`, which decides,
//! or to `gateway`, which tells `checked` of its client as Envoy does.
#![expect(clippy::indexing_slicing, clippy::unwrap_used, reason = "these are tests")]

use std::path::Path;

use integration::folder::Folder;
use integration::{Bootstrap, Client, Envoy, Listener, Plugin, Request, Upstream};
use rcgen::{CertificateParams, Issuer, KeyPair, SanType};
use serde_json::{Value, json};

const GATEWAY: &str = "spiffe://td/ns/edge/sa/gateway";
const CART: &str = "spiffe://td/ns/shop/sa/cart";

/// An authority, and the certificates that it makes out.
struct Authority {
    pem: String,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    fn new() -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name.push(rcgen::DnType::CommonName, "authority");
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let pem = params.self_signed(&key).unwrap().pem();
        Self { pem, issuer: Issuer::new(params, key) }
    }

    /// TLS for the holder of a certificate with this URI, to speak to others or be spoken to.
    fn tls(&self, side: &str, uri: Option<&str>) -> Value {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec!["peer.example".to_owned()]).unwrap();
        params.subject_alt_names.extend(uri.map(|uri| SanType::URI(uri.try_into().unwrap())));
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let kind = format!("type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.{side}");
        let mut context = json!({
            "@type": kind,
            "common_tls_context": {
                "tls_certificates": [{
                    "certificate_chain": {"inline_string": certificate.pem()},
                    "private_key": {"inline_string": key.serialize_pem()},
                }],
                "validation_context": {"trusted_ca": {"inline_string": self.pem}},
            },
        });
        if side == "DownstreamTlsContext" {
            context["require_client_certificate"] = true.into();
        }
        json!({"name": "envoy.transport_sockets.tls", "typed_config": context})
    }

    /// A cluster that speaks to the listener on that socket, as the one with this URI.
    fn cluster(&self, name: &str, pipe: &Path, uri: Option<&str>) -> Value {
        let address = json!({"pipe": {"path": pipe}});
        json!({
            "name": name,
            "load_assignment": {
                "cluster_name": name,
                "endpoints": [{"lb_endpoints": [{"endpoint": {"address": address}}]}],
            },
            "transport_socket": self.tls("UpstreamTlsContext", uri),
        })
    }
}

fn route(cluster: &str) -> Value {
    let header = json!({"name": "x-way", "string_match": {"exact": cluster}});
    json!({"match": {"prefix": "/", "headers": [header]}, "route": {"cluster": cluster}})
}

/// Mutual TLS, and what becomes of `x-forwarded-client-cert`.
fn mutual(bare: Listener, name: &str, pipe: &Path, tls: Value, forward: &str) -> Listener {
    let listener = bare.named(name).unwrap().on_pipe(pipe, tls).unwrap();
    let listener = listener.managed("forward_client_cert_details", forward.into()).unwrap();
    let details = json!({"uri": true, "dns": true, "subject": true});
    listener.managed("set_current_client_cert_details", details).unwrap()
}

#[test]
fn a_gateway_that_is_believed_names_its_client_and_nobody_else_does() {
    let authority = Authority::new();
    let folder = Folder::temporary().unwrap();
    let pipe = |name: &str| folder.path().join(name);
    let upstream = Upstream::start("v1").unwrap();
    let mut bootstrap = Bootstrap::before("telemetry", &[("v1", upstream.address())]).unwrap();
    let demo = bootstrap.demo().unwrap();
    let policies = json!([
        {"name": "shop", "rules": [{
            "to": [{"operation": {"paths": ["/shop"]}}],
            "from": [{"source": {"principals": ["td/ns/shop/sa/cart"]}}],
        }]},
        {"name": "others", "rules": [{
            "to": [{"operation": {"paths": ["/others"]}}],
            "from": [{"source": {"notNamespaces": ["shop"]}}],
        }]},
    ]);
    let xfcc = json!({"trustedPrincipals": ["td/ns/edge/sa/gateway"]});
    let authz = Plugin::shipped("authz", &json!({ "xfcc": xfcc, "policies": policies }));
    let decides = demo.clone().with_plugins(std::slice::from_ref(&authz)).unwrap();
    let bare = demo.with_plugins(&[]).unwrap();

    let server = || authority.tls("DownstreamTlsContext", None);
    let mut listeners = Vec::new();
    let mut clusters = Vec::new();
    let mut front =
        bare.clone().managed("forward_client_cert_details", "ALWAYS_FORWARD_ONLY".into()).unwrap();
    // Proxies differ in what they do with what they are told: this one decides, and forwards it or adds to it.
    for (checked, forward) in [("keeps", "FORWARD_ONLY"), ("adds", "APPEND_FORWARD")] {
        listeners.push(mutual(decides.clone(), checked, &pipe(checked), server(), forward));
        let ways = [("cart", Some(CART)), ("edge", Some(GATEWAY)), ("nobody", None)];
        for (who, uri) in ways {
            let name = format!("{who}-{checked}");
            clusters.push(authority.cluster(&name, &pipe(checked), uri));
            front = front.with_first_route(route(&name)).unwrap();
        }
        // And the gateway that is believed writes anew, or adds.
        for (gateway, forward) in [("anew", "SANITIZE_SET"), ("after", "APPEND_FORWARD")] {
            let name = format!("{gateway}-{checked}");
            let out = format!("out-{name}");
            clusters.push(authority.cluster(&out, &pipe(checked), Some(GATEWAY)));
            let through = bare.clone().with_first_route(json!({
                "match": {"prefix": "/"}, "route": {"cluster": out},
            }));
            listeners.push(mutual(through.unwrap(), &name, &pipe(&name), server(), forward));
            for (who, uri) in ways {
                let name = format!("{who}-{name}");
                clusters.push(authority.cluster(
                    &name,
                    &pipe(&format!("{gateway}-{checked}")),
                    uri,
                ));
                front = front.with_first_route(route(&name)).unwrap();
            }
        }
    }
    listeners.push(front);
    bootstrap.add_clusters(clusters).unwrap();
    bootstrap.set_listeners(listeners).unwrap();
    let envoy = Envoy::start(&bootstrap, 1).unwrap();

    let mut client = Client::new(envoy.listener("demo").unwrap());
    let mut ask = |way: &str, path: &str, told: Option<&str>| {
        let request = Request::get(path).with("x-way", way);
        let request = match told {
            Some(told) => request.with("x-forwarded-client-cert", told),
            None => request,
        };
        client.send(&request).unwrap().status
    };
    let forged = "By=spiffe://td/x;URI=spiffe://td/ns/shop/sa/cart";
    for checked in ["keeps", "adds"] {
        let mut ask = |way: &str, told| {
            let way = format!("{way}-{checked}");
            (ask(&way, "/shop", told), ask(&way, "/others", told))
        };
        // Directly.
        assert_eq!(ask("cart", None), (200, 403), "{checked}");
        assert_eq!(ask("edge", None), (403, 200), "{checked}");
        assert_eq!(ask("nobody", Some(forged)), (403, 200), "{checked}");
        assert_eq!(ask("edge", Some(forged)), (200, 403), "{checked}");
        assert_eq!(ask("edge", Some("URI=\"")), (403, 403), "{checked}");
        // Through the gateway, which is believed, whatever its client says of itself.
        for gateway in ["anew", "after"] {
            let mut ask = |who: &str, told| ask(&format!("{who}-{gateway}"), told);
            assert_eq!(ask("cart", None), (200, 403), "{gateway} {checked}");
            assert_eq!(ask("edge", None), (403, 200), "{gateway} {checked}");
            assert_eq!(ask("nobody", None), (403, 403), "{gateway} {checked}");
            assert_eq!(ask("nobody", Some(forged)), (403, 403), "{gateway} {checked}");
        }
    }
}
