//! What no case file can play: certificates and addresses, and that an index changes nothing.

use filter_core::fixture::{FixtureExchange, World};
use filter_core::view::Value;
use filter_core::{Attribute, Filter as _, HeaderMap, Metrics, Phase, View};
use proptest::prelude::*;
use serde_json::{Value as Json, json};

use crate::{Authz, Reason};

fn authz(configuration: &Json) -> Authz {
    Authz::configure(configuration.to_string().as_bytes(), &mut Metrics::default()).unwrap()
}

/// What a filter decides of a request with these attributes.
fn ask(authz: &Authz, request: [&str; 3], attributes: &[(Attribute, Value)]) -> String {
    let [method, host, path] = request;
    let request =
        HeaderMap::from_pairs([(":method", method), (":authority", host), (":path", path)]);
    let asked = authz.attributes(Phase::Request);
    let offered = attributes.iter().filter(|(attribute, _)| asked.contains(attribute)).cloned();
    let exchange =
        FixtureExchange { request, attributes: offered.collect(), ..FixtureExchange::default() };
    let view = View::new(&exchange, Phase::Request, &[]);
    let outcome = authz.on_request(&view, &mut Default::default(), &World::default().ports());
    outcome.decisions[0].evidence().to_owned()
}

/// What is decided of a request with these attributes.
fn decide(configuration: &Json, request: [&str; 3], attributes: &[(Attribute, Value)]) -> String {
    ask(&authz(configuration), request, attributes)
}

fn text(attribute: Attribute, text: &str) -> (Attribute, Value) {
    (attribute, Value::Text(text.into()))
}

fn from(action: &str, source: Json) -> Json {
    json!({
        "directRemoteIp": "filterState",
        "policies": [{
            "name": "p", "action": action, "namespace": "shop",
            "rules": [{ "from": [{ "source": source }] }],
        }],
    })
}

#[test]
fn a_certificate_tells_who_asks() {
    let decide = |action, source, uri: &str| {
        decide(&from(action, source), ["GET", "a", "/"], &[text(Attribute::PeerUri, uri)])
    };
    let cart = "spiffe://td/ns/shop/sa/cart";
    assert_eq!(
        decide("ALLOW", json!({ "principals": ["td/ns/shop/sa/cart"] }), cart),
        "allowed:p:0"
    );
    assert_eq!(decide("ALLOW", json!({ "namespaces": ["shop"] }), cart), "allowed:p:0");
    assert_eq!(decide("ALLOW", json!({ "serviceAccounts": ["cart"] }), cart), "allowed:p:0");
    assert_eq!(decide("ALLOW", json!({ "trustDomains": ["td"] }), cart), "allowed:p:0");
    assert_eq!(decide("ALLOW", json!({ "notNamespaces": ["shop"] }), cart), "not_allowed");
    let both = json!({ "namespaces": ["shop"], "notServiceAccounts": ["shop/cart"] });
    assert_eq!(decide("ALLOW", both, cart), "not_allowed");
    for strange in ["https://elsewhere", "spiffe://td/ns/other/sa/x/ns/shop"] {
        assert_eq!(decide("ALLOW", json!({ "namespaces": ["shop"] }), strange), "not_allowed");
        assert_eq!(decide("ALLOW", json!({ "notNamespaces": ["shop"] }), strange), "not_allowed");
        assert_eq!(decide("DENY", json!({ "namespaces": ["shop"] }), strange), "denied:p:0");
    }
}

#[test]
fn a_proxy_that_is_believed_tells_who_asks() {
    let decide = |action: &str, source: Json, peer: &str, told: &str| {
        let mut configuration = from(action, source);
        configuration["xfcc"] =
            json!({ "trustedPrincipals": ["cluster.local/ns/edge/sa/gateway"] });
        configuration["trustDomain"] = "td".into();
        let authz = authz(&configuration);
        let request = HeaderMap::from_pairs([
            (":method", "GET"),
            (":authority", "a"),
            (":path", "/"),
            ("x-forwarded-client-cert", told),
        ]);
        let attributes = [text(Attribute::PeerUri, peer)].into();
        let exchange = FixtureExchange { request, attributes, ..FixtureExchange::default() };
        let view = View::new(&exchange, Phase::Request, &[]);
        let outcome = authz.on_request(&view, &mut Default::default(), &World::default().ports());
        outcome.decisions[0].evidence().to_owned()
    };
    let (gateway, other) = ("spiffe://td/ns/edge/sa/gateway", "spiffe://td/ns/x/sa/y");
    let cart = "By=spiffe://td/me;URI=spiffe://td/ns/shop/sa/cart";
    let shop = || json!({ "namespaces": ["shop"] });
    let not_shop = || json!({ "notNamespaces": ["shop"] });
    assert_eq!(decide("ALLOW", shop(), gateway, cart), "allowed:p:0");
    assert_eq!(decide("ALLOW", shop(), other, cart), "not_allowed");
    assert_eq!(decide("DENY", shop(), gateway, cart), "denied:p:0");
    assert_eq!(decide("ALLOW", not_shop(), gateway, cart), "not_allowed");
    // What makes no sense tells of nobody, and of anybody.
    for odd in ["", "URI=", "URI=\"", "Hash=ab"] {
        assert_eq!(decide("ALLOW", shop(), gateway, odd), "not_allowed", "{odd}");
        assert_eq!(decide("ALLOW", not_shop(), gateway, odd), "not_allowed", "{odd}");
        assert_eq!(decide("DENY", shop(), gateway, odd), "denied:p:0", "{odd}");
        assert_eq!(decide("DENY", not_shop(), gateway, odd), "denied:p:0", "{odd}");
        assert_eq!(decide("ALLOW", not_shop(), other, odd), "allowed:p:0", "{odd}");
    }
}

#[test]
fn a_principal_is_meant_in_all_trust_domains() {
    let mut configuration = from("ALLOW", json!({ "principals": ["cluster.local/ns/a/sa/b"] }));
    configuration["trustDomain"] = "new".into();
    configuration["trustDomainAliases"] = json!(["old"]);
    let decide = |domain: &str| {
        let uri = format!("spiffe://{domain}/ns/a/sa/b");
        decide(&configuration, ["GET", "a", "/"], &[text(Attribute::PeerUri, &uri)])
    };
    assert_eq!(decide("new"), "allowed:p:0");
    assert_eq!(decide("old"), "allowed:p:0");
    assert_eq!(decide("other"), "not_allowed");
}

#[test]
fn an_address_that_nobody_tells_is_unknown() {
    let direct = |action, source: &Json, address: Option<&str>| {
        let told: Vec<_> =
            address.map(|address| text(Attribute::DirectRemoteIp, address)).into_iter().collect();
        decide(&from(action, source.clone()), ["GET", "a", "/"], &told)
    };
    let inside = json!({ "ipBlocks": ["10.0.0.0/8"] });
    let outside = json!({ "notIpBlocks": ["10.0.0.0/8"] });
    assert_eq!(direct("ALLOW", &inside, Some("10.1.2.3")), "allowed:p:0");
    assert_eq!(direct("ALLOW", &inside, Some("11.1.2.3")), "not_allowed");
    assert_eq!(direct("ALLOW", &outside, Some("11.1.2.3")), "allowed:p:0");
    for untold in [None, Some("/run/socket")] {
        assert_eq!(direct("ALLOW", &inside, untold), "not_allowed");
        assert_eq!(direct("ALLOW", &outside, untold), "not_allowed");
        assert_eq!(direct("DENY", &inside, untold), "denied:p:0");
        assert_eq!(direct("DENY", &outside, untold), "denied:p:0");
    }
}

#[test]
fn a_port_is_what_the_client_connected_to() {
    let policies = json!({ "policies": [{
        "name": "p", "rules": [{ "to": [{ "operation": { "ports": ["8080"] } }] }],
    }] });
    let decide = |port| {
        decide(
            &policies,
            ["GET", "a:8080", "/"],
            &[(Attribute::DestinationPort, Value::Number(port))],
        )
    };
    assert_eq!(decide(8080), "allowed:p:0");
    assert_eq!(decide(80), "not_allowed");
    assert_eq!(super::tests::decide(&policies, ["GET", "a:8080", "/"], &[]), "not_allowed");
}

fn some(values: &'static [&'static str]) -> impl Strategy<Value = Vec<&'static str>> {
    prop::sample::subsequence(values, 0..=2)
}

/// An operation, as it may stand in a policy.
fn operation() -> impl Strategy<Value = Json> {
    let hosts = some(&["a.example", "a.example:80", "*.example", "b.*", "c.example"]);
    let methods = some(&["GET", "PUT", "P*"]);
    let paths =
        some(&["/", "/a", "/a/*", "/a/b*", "*.js", "*", "/a/{x}", "/{**}/b", "/a/{**}", "/c"]);
    (hosts, methods, paths).prop_map(|(hosts, methods, paths)| {
        let mut operation = json!({ "notPaths": ["/never"] });
        for (name, values) in [("hosts", hosts), ("methods", methods), ("paths", paths)] {
            if !values.is_empty() {
                operation[name] = json!(values);
            }
        }
        operation
    })
}

#[test]
fn only_what_may_be_noted_is_looked_for() {
    let with = |second: Json| {
        let first = json!({ "name": "a", "rules": [{}] });
        let authz = authz(&json!({ "policies": [first, second] }));
        let exchange = FixtureExchange::default();
        let view = View::new(&exchange, Phase::Request, &[]);
        authz.policies.decide(&view, None, None).aside
    };
    assert_eq!(with(json!({ "name": "b", "action": "DENY", "rules": [{}] })), None);
    let noted = with(json!({ "name": "b", "action": "AUDIT", "rules": [{}] })).unwrap();
    assert_eq!((noted.noted, noted.proposed), (vec![1], None));
    let dry = json!({ "name": "b", "action": "DENY", "dryRun": true, "rules": [{}] });
    let noted = with(dry).unwrap();
    assert!(noted.noted.is_empty());
    assert_eq!(noted.proposed.unwrap().reason, Reason::Denied);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(50))]
    #[test]
    fn an_index_changes_no_decision(
        operations in prop::collection::vec(prop::collection::vec(operation(), 0..3), 10..40),
        requests in prop::collection::vec((
            prop::sample::select(vec!["GET", "PUT", "POST"]),
            prop::sample::select(vec!["a.example", "A.example:80", "b.x", "c.example.", "user@x", "d"]),
            prop::sample::select(vec!["/", "/a", "/a/b", "/a/b/c", "/a//b", "/c?x", "/x.js", "/a%2fb", "/x/b", "*"]),
        ), 10),
        compat in any::<bool>(),
        action in prop::sample::select(vec!["ALLOW", "DENY"]),
    ) {
        let rules = operations.iter().map(|operations| {
            let to: Vec<Json> = operations.iter().map(|one| json!({ "operation": one })).collect();
            if to.is_empty() { json!({ "to": [{ "operation": { "methods": ["NONE"] } }] }) } else { json!({ "to": to }) }
        });
        let policy = |rules: Vec<Json>| {
            let mut document = json!({ "policies": [{ "name": "p", "action": action, "rules": rules }] });
            if compat {
                document["compat"] = "istio".into();
            }
            document
        };
        let rules: Vec<Json> = rules.collect();
        // One by one, no rule has an index.
        let each: Vec<Authz> = rules.iter().map(|rule| authz(&policy(vec![rule.clone()]))).collect();
        let all = authz(&policy(rules));
        for (method, host, path) in requests {
            let found = ask(&all, [method, host, path], &[]);
            let first = each.iter().enumerate().find_map(|(at, alone)| {
                let evidence = ask(alone, [method, host, path], &[]);
                let decided = evidence.contains(":p:0");
                decided.then(|| evidence.replace(":p:0", &format!(":p:{at}")))
            });
            let none = if action == "ALLOW" { "not_allowed" } else { "allowed" };
            prop_assert_eq!(found, first.unwrap_or_else(|| none.to_owned()), "{} {} {}", method, host, path);
        }
    }
}
