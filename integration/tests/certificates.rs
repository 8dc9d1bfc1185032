//! Tokens that are bound to certificates, over real TLS (RFC 8705). One Envoy plays both sides: what the listener `demo`
//! gets in the clear, it sends by mutual TLS, with the certificate that a header chooses, to a listener that checks.
#![expect(clippy::unwrap_used, reason = "these are tests")]

use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use integration::folder::Folder;
use integration::{Bootstrap, Client, Envoy, Plugin, Request, Upstream};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

const ISSUER: &str = "https://issuer.example";

/// A self-signed certificate and its key.
struct Certificate {
    text: String,
    pem: Value,
    thumbprint: String,
}

impl Certificate {
    fn new() -> Self {
        let made = rcgen::generate_simple_self_signed(["client.example".to_owned()]).unwrap();
        let pem = json!({
            "certificate_chain": {"inline_string": made.cert.pem()},
            "private_key": {"inline_string": made.signing_key.serialize_pem()},
        });
        let text = made.cert.pem();
        Self { text, pem, thumbprint: URL_SAFE_NO_PAD.encode(Sha256::digest(made.cert.der())) }
    }
}

fn tls(context: Value) -> Value {
    json!({"name": "envoy.transport_sockets.tls", "typed_config": context})
}

fn kind(side: &str) -> String {
    format!("type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.{side}TlsContext")
}

/// TLS that asks for a certificate, and takes any: what counts is that the token names it (RFC 8705 §2.2).
fn asking(server: &Certificate, clients: [&Certificate; 2]) -> Value {
    let known: String = clients.map(|client| client.text.as_str()).concat();
    tls(json!({
        "@type": kind("Downstream"),
        "require_client_certificate": true,
        "common_tls_context": {
            "tls_certificates": [server.pem],
            "validation_context": {
                "trusted_ca": {"inline_string": known},
                "trust_chain_verification": "ACCEPT_UNTRUSTED",
            },
        },
    }))
}

/// A cluster that speaks to the listener on that socket.
fn cluster(name: &str, pipe: &Path, certificate: &Certificate) -> Value {
    let address = json!({"pipe": {"path": pipe}});
    json!({
        "name": name,
        "load_assignment": {
            "cluster_name": name,
            "endpoints": [{"lb_endpoints": [{"endpoint": {"address": address}}]}],
        },
        "transport_socket": tls(json!({
            "@type": kind("Upstream"),
            "common_tls_context": {"tls_certificates": [certificate.pem]},
        })),
    })
}

fn route(cluster: &str) -> Value {
    let header = json!({"name": "x-certificate", "string_match": {"exact": cluster}});
    json!({"match": {"prefix": "/", "headers": [header]}, "route": {"cluster": cluster}})
}

fn token(claims: &Value) -> String {
    let mut token: cases::Token = serde_json::from_value(json!({ "key": "es256" })).unwrap();
    token.claims = claims.as_object().unwrap().clone();
    token.claims.insert("iss".to_owned(), ISSUER.into());
    // Minted in the year 2096, so that it is good for as long as anybody runs this.
    format!("Bearer {}", token.mint(4_000_000_000).unwrap())
}

#[test]
fn a_bound_token_is_good_over_its_own_certificate_only() {
    let (own, other, server) = (Certificate::new(), Certificate::new(), Certificate::new());
    let folder = Folder::temporary().unwrap();
    let pipe = folder.path().join("checked");
    let upstream = Upstream::start("v1").unwrap();
    let mut bootstrap = Bootstrap::before("telemetry", &[("v1", upstream.address())]).unwrap();
    let demo = bootstrap.demo().unwrap();
    let rule = json!({
        "issuer": ISSUER,
        "jwks": cases::JWKS,
        "requireCertificateBinding": true,
    });
    let authz = Plugin::shipped("authz", &json!({ "jwtRules": [rule] }));
    let asking = asking(&server, [&own, &other]);
    let bare = demo.clone().with_plugins(std::slice::from_ref(&authz)).unwrap();
    let checked = bare.clone().named("checked").unwrap().on_pipe(&pipe, asking).unwrap();
    let front = demo.with_plugins(&[]).unwrap();
    let front = front.with_first_route(route("own")).unwrap();
    let front = front.with_first_route(route("other")).unwrap();
    let clusters = [("own", &own), ("other", &other)];
    let clusters = clusters.map(|(name, certificate)| cluster(name, &pipe, certificate));
    bootstrap.add_clusters(clusters.to_vec()).unwrap();
    bootstrap.set_listeners(vec![front, checked, bare.named("bare").unwrap()]).unwrap();
    let envoy = Envoy::start(&bootstrap, 1).unwrap();

    let named = |certificate: &Certificate| {
        token(&json!({ "sub": "a", "cnf": { "x5t#S256": certificate.thumbprint } }))
    };
    let mut client = Client::new(envoy.listener("demo").unwrap());
    let mut ask = |certificate: &str, token: &str| {
        let request = Request::get("/").with("x-certificate", certificate);
        let response = client.send(&request.with("authorization", token)).unwrap();
        (response.status, if response.status == 200 { String::new() } else { response.text() })
    };
    let refused = (401, "authz: token_binding".to_owned());
    let good = (200, String::new());
    assert_eq!(ask("own", &named(&own)), good);
    assert_eq!(ask("other", &named(&own)), refused);
    assert_eq!(ask("other", &named(&other)), good);
    assert_eq!(ask("own", &named(&other)), refused);
    assert_eq!(ask("own", &token(&json!({ "sub": "a" }))), refused);
    // It is remembered by now, and no better for it.
    assert_eq!(ask("other", &named(&own)), refused);

    let mut client = Client::new(envoy.listener("bare").unwrap());
    let request = Request::get("/").with("authorization", named(&own));
    let response = client.send(&request).unwrap();
    assert_eq!((response.status, response.text()), refused);
}
