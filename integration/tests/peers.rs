//! Who asks where mutual TLS ended in a listener before this one, as HBONE does in a waypoint: Istio's listener leaves
//! the peer's URI in filter state. Here `set_filter_state` plays that listener, with what a header says.
#![expect(clippy::indexing_slicing, clippy::unwrap_used, reason = "these are tests")]

use integration::{Bootstrap, Client, Envoy, Plugin, Request, Upstream};
use serde_json::{Value, json};

const CART: &str = "spiffe://cluster.local/ns/shop/sa/cart";

/// What istiod sends to the listener that HBONE ends at, but for where the URI is from. As there, nobody is a dash.
fn hbone() -> Value {
    json!({
        "name": "connect_authority",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.set_filter_state.v3.Config",
            "on_request_headers": [{
                "object_key": "io.istio.peer_principal",
                "factory_key": "envoy.hashable_string",
                "format_string": {"text_format_source": {"inline_string": "%REQ(x-peer)%"}},
            }],
        },
    })
}

/// The statuses of what each of them asks for.
fn statuses(filters: Vec<Value>, peers: &[Option<&str>]) -> Vec<u16> {
    let upstream = Upstream::start("v1").unwrap();
    let mut bootstrap = Bootstrap::before("telemetry", &[("v1", upstream.address())]).unwrap();
    let listener = bootstrap.demo().unwrap().with_filters(filters).unwrap();
    bootstrap.set_listeners(vec![listener]).unwrap();
    let envoy = Envoy::start(&bootstrap, 1).unwrap();
    let mut client = Client::new(envoy.listener("demo").unwrap());
    let mut ask = |peer: &Option<&str>| {
        let request = Request::get("/");
        let request = peer.iter().fold(request, |request, peer| request.with("x-peer", *peer));
        client.send(&request).unwrap().status
    };
    peers.iter().map(&mut ask).collect()
}

fn authz(conditions: &[Value]) -> Value {
    let from = json!([{"source": {"serviceAccounts": ["shop/cart"]}}]);
    let mut rule = json!({ "from": from });
    if !conditions.is_empty() {
        rule["when"] = conditions.into();
    }
    let policies = json!([{"name": "cart", "rules": [rule]}]);
    let tokens = json!([{
        "issuer": "https://demo.example", "jwks": cases::JWKS, "requireCertificateBinding": true,
    }]);
    let document = json!({"jwtRules": tokens, "policies": policies});
    Plugin::shipped("authz", &document).to_filter().unwrap()
}

#[test]
fn a_peer_whose_tls_ended_before_us_is_who_istio_says() {
    let peers = [Some(CART), Some("spiffe://cluster.local/ns/shop/sa/other"), Some("-"), None];
    assert_eq!(statuses(vec![hbone(), authz(&[])], &peers), [200, 403, 403, 403]);
}

#[test]
fn nor_does_it_matter_with_how_many_attributes_it_is_asked_for() {
    // Six are asked for in one expression: these, the peer, and the certificate that tokens are bound to.
    let known = |key: &str| json!({"key": key, "values": ["0.0.0.0/0"]});
    let conditions = [
        known("remote.ip"),
        known("destination.ip"),
        json!({"key": "destination.port", "notValues": ["1"]}),
        json!({"key": "connection.sni", "notValues": ["elsewhere.example"]}),
    ];
    let peers = [Some(CART), Some("-"), None];
    assert_eq!(statuses(vec![hbone(), authz(&conditions)], &peers), [200, 403, 403]);
}

#[test]
fn a_header_of_that_name_says_nothing() {
    assert_eq!(statuses(vec![authz(&[])], &[Some(CART)]), [403]);
}

#[test]
fn each_of_them_has_a_bucket() {
    let rule = json!({
        "name": "per-peer", "key": [{"principal": {}}], "missingKey": "deny",
        "tokenBucket": {"maxTokens": 1, "fillInterval": "3600s"},
    });
    let limits = Plugin::shipped("ratelimit", &json!({ "rules": [rule] })).to_filter().unwrap();
    let peers = [Some(CART), Some(CART), Some("spiffe://cluster.local/ns/shop/sa/other"), None];
    assert_eq!(statuses(vec![hbone(), limits], &peers), [200, 429, 200, 429]);
}
