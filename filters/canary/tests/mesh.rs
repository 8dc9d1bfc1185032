//! In the mesh: who is believed, and what is carried on. No case file has certificates.
#![cfg(not(target_arch = "wasm32"))]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod asked;

use asked::{Asked, Peer};

fn mesh(peers: &str) -> String {
    format!(
        r#"{{"role":"mesh","peers":{peers},"baggage":{{}},"rollouts":[
        {{"name":"checkout","match":{{"paths":["/shop"]}},"header":"x-checkout","salt":"checkout",
          "key":[{{"header":"x-user"}}],"stable":"v1","variants":[{{"name":"v2","weight":25}}]}},
        {{"name":"cart","match":{{"paths":["/shop"]}},"header":"x-cart","salt":"checkout",
          "key":[{{"header":"x-user"}}],"killSwitch":true,"variants":[{{"name":"v2","weight":25}}]}},
        {{"name":"weights","match":{{"paths":["/weights"]}},"bucketHeader":{{"name":"x-bucket"}},"salt":"checkout",
          "key":[{{"header":"x-user"}}]}}]}}"#
    )
}

const GATEWAY: &str = "spiffe://cluster.local/ns/istio-ingress/sa/gateway";
const PEERS: &str = r#"{"principals":["spiffe://cluster.local/ns/istio-ingress/*"]}"#;

fn shop(peers: &str, peer: Peer, lines: &[(&str, &str)]) -> Asked {
    Asked::of(&mesh(peers), "/shop", peer, lines)
}

#[test]
fn what_a_believed_peer_decided_counts() {
    for lines in [
        &[("x-user", "alice"), ("x-checkout", "v2")][..],
        &[("x-user", "alice"), ("baggage", "a=1,outrigger.canary=checkout:v2")],
        &[("x-checkout", "v2"), ("baggage", "outrigger.canary=checkout:v1")],
        &[("x-checkout", "v2"), ("x-checkout-too", "v1")],
    ] {
        let asked = shop(PEERS, Peer::Uri(GATEWAY), lines);
        assert_eq!(asked.evidence[0], "propagated:checkout=v2", "{lines:?}");
        assert_eq!(asked.upstream("x-checkout"), ["v2"], "{lines:?}");
    }
}

#[test]
fn what_anybody_else_decided_does_not() {
    let other = "spiffe://cluster.local/ns/istio-ingress-too/sa/gateway";
    for peer in [Peer::None, Peer::Uri(other), Peer::Outbound] {
        let lines = [
            ("x-user", "alice"),
            ("x-checkout", "v2"),
            ("baggage", "outrigger.canary=checkout:v2~x:y"),
        ];
        let asked = shop(PEERS, peer, &lines);
        assert_eq!(asked.evidence[0], "stable:checkout=v1", "{peer:?}");
        assert_eq!(asked.upstream("x-checkout"), ["v1"]);
        assert_eq!(asked.upstream("baggage"), ["outrigger.canary=cart:stable~checkout:v1"]);
    }
}

#[test]
fn what_says_no_version_leaves_it_to_the_bucket() {
    for lines in [
        &[("x-user", "2"), ("x-checkout", "v9")][..],
        &[("x-user", "2"), ("x-checkout", "v1"), ("x-checkout", "v1")],
        &[("x-user", "2"), ("x-checkout", "v1,v1")],
        &[("x-user", "2"), ("x-checkout", "")],
        &[("x-user", "2"), ("baggage", "outrigger.canary=checkout:v9")],
        &[
            ("x-user", "2"),
            ("baggage", "outrigger.canary=checkout:v1,outrigger.canary=checkout:v1"),
        ],
        &[("x-user", "2"), ("baggage", "outrigger.canary=checkout:v1~checkout:v1")],
    ] {
        let asked = shop(PEERS, Peer::Uri(GATEWAY), lines);
        assert_eq!(asked.evidence[0], "bucket:checkout=v2", "{lines:?}");
        assert_eq!(asked.upstream("x-checkout"), ["v2"]);
    }
}

#[test]
fn a_kill_switch_is_before_what_was_decided() {
    let asked = shop(PEERS, Peer::Uri(GATEWAY), &[("x-cart", "v2")]);
    assert_eq!(asked.evidence[1], "kill_switch:cart=stable");
    assert_eq!(asked.upstream("x-cart"), [""; 0]);
}

#[test]
fn decisions_about_others_are_carried_on() {
    let baggage = "a=1,outrigger.canary=search:v7~checkout:v2,b=2";
    let asked = shop(PEERS, Peer::Uri(GATEWAY), &[("baggage", baggage)]);
    assert_eq!(
        asked.upstream("baggage"),
        ["a=1,b=2,outrigger.canary=cart:stable~checkout:v2~search:v7"]
    );
    let elsewhere = |peer| Asked::of(&mesh(PEERS), "/elsewhere", peer, &[("baggage", baggage)]);
    assert_eq!(
        elsewhere(Peer::Uri(GATEWAY)).upstream("baggage"),
        ["a=1,b=2,outrigger.canary=checkout:v2~search:v7"]
    );
    assert_eq!(elsewhere(Peer::None).upstream("baggage"), ["a=1,b=2"]);
}

#[test]
fn an_application_is_believed_where_it_is_said_and_nobody_else_can_be() {
    let outbound = r#"{"application":true}"#;
    let lines = [("baggage", "outrigger.canary=checkout:v2")];
    assert_eq!(shop(outbound, Peer::Outbound, &lines).evidence[0], "propagated:checkout=v2");
    for peer in [Peer::None, Peer::Inbound, Peer::Uri(GATEWAY)] {
        assert_eq!(shop(outbound, peer, &lines).evidence[0], "missing_key:checkout=v1", "{peer:?}");
    }
}

#[test]
fn a_bucket_is_carried_on_as_it_was_said() {
    let ask = |peer, lines: &[(&str, &str)]| {
        let asked = Asked::of(&mesh(PEERS), "/weights", peer, lines);
        (asked.evidence[0].clone(), asked.upstream("x-bucket"))
    };
    let told = |reason: &str, bucket: &str| (format!("{reason}:weights"), vec![bucket.to_owned()]);
    let gateway = Peer::Uri(GATEWAY);
    assert_eq!(ask(gateway, &[("x-bucket", "99"), ("x-user", "2")]), told("propagated", "99"));
    for bad in ["100", "-1", "x", "1,1"] {
        assert_eq!(ask(gateway, &[("x-bucket", bad), ("x-user", "2")]), told("delegated", "4"));
    }
    assert_eq!(ask(Peer::None, &[("x-bucket", "99"), ("x-user", "2")]), told("delegated", "4"));
}

#[test]
fn a_list_that_is_full_is_left_alone_and_counted() {
    let full = vec!["a=1"; 64].join(",");
    let asked = shop(PEERS, Peer::None, &[("x-user", "2"), ("baggage", &full)]);
    assert_eq!(asked.upstream("x-checkout"), ["v2"]);
    assert_eq!(asked.upstream("baggage"), [full]);
    assert!(asked.counted.contains(&"outrigger_canary_baggage_too_long_total".to_owned()));
}

#[test]
fn peers_must_be_named() {
    for (document, pointer) in [
        (mesh(r#"{"application":false}"#), "/peers"),
        (mesh("{}"), "/peers"),
        (mesh(PEERS).replace("\"mesh\"", "\"edge\""), "/peers"),
        (mesh(PEERS).replace(&format!("\"peers\":{PEERS},"), ""), ""),
        (mesh(PEERS).replace("\"baggage\":{}", r#""baggage":{"member":"a=b"}"#), "/baggage/member"),
    ] {
        assert_eq!(asked::refusal(&document).pointer, pointer, "{document}");
    }
}
