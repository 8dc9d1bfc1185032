//! Keys that authz fetches over a cluster of the proxy, by all workers of a real Envoy.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "these are tests")]

use std::time::{SystemTime, UNIX_EPOCH};

use cases::Token;
use integration::{Bootstrap, Client, Envoy, Request, Upstream, poll};
use serde_json::{Value, json};

const WORKERS: u32 = 4;

/// The corpus's key set, with these keys alone.
fn set(kids: &[&str]) -> String {
    let mut set: Value = serde_json::from_str(cases::JWKS).unwrap();
    set["keys"].as_array_mut().unwrap().retain(|key| kids.iter().any(|kid| key["kid"] == *kid));
    set.to_string()
}

fn with_token(key: &str) -> Request {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let token = json!({"key": key, "claims": {"iss": "https://demo.example", "sub": "ann"}});
    let token: Token = serde_json::from_value(token).unwrap();
    Request::get("/").with("authorization", format!("Bearer {}", token.mint(now).unwrap()))
}

/// A proxy whose authz fetches its keys from an upstream, with what else the rule says of fetching.
struct Proxy {
    envoy: Envoy,
    clients: Vec<Client>,
    keys: Upstream,
    _upstream: Upstream,
}

fn start(keys: Upstream, rule: Value) -> Proxy {
    let known = json!({"from": [{"source": {"requestPrincipals": ["*"]}}]});
    start_with(keys, rule, known)
}

fn start_with(keys: Upstream, rule: Value, known: Value) -> Proxy {
    let upstream = Upstream::start("v1").unwrap();
    let mut bootstrap = Bootstrap::before("authz", &[("v1", upstream.address())]).unwrap();
    let (ip, port) = (keys.address().ip().to_string(), keys.address().port());
    let socket = json!({"socket_address": {"address": ip, "port_value": port}});
    bootstrap
        .add_clusters(vec![json!({
            "name": "outbound|8080||keys.example",
            "load_assignment": {
                "cluster_name": "outbound|8080||keys.example",
                "endpoints": [{"lb_endpoints": [{"endpoint": {"address": socket}}]}],
            },
        })])
        .unwrap();
    let mut all =
        json!({"issuer": "https://demo.example", "jwksUri": "http://keys.example:8080/jwks"});
    all.as_object_mut().unwrap().extend(rule.as_object().unwrap().clone());
    let document = json!({
        "jwtRules": [all],
        "policies": [{"name": "known", "rules": [known]}],
    });
    let demo = bootstrap.demo().unwrap();
    let demo = demo.configure("authz", "authz", &document.to_string()).unwrap();
    bootstrap.set_listeners(vec![demo]).unwrap();
    let envoy = Envoy::start(&bootstrap, WORKERS).unwrap();
    let address = envoy.listener("demo").unwrap();
    // Enough connections that every worker gets some.
    let clients = (0..12).map(|_| Client::new(address)).collect();
    Proxy { envoy, clients, keys, _upstream: upstream }
}

impl Proxy {
    /// The statuses that all connections get.
    fn all(&mut self, request: &Request) -> Vec<u16> {
        self.clients.iter_mut().map(|client| client.send(request).unwrap().status).collect()
    }

    fn wait_for(&mut self, request: &Request, status: u16) {
        poll::until(poll::DEADLINE, &format!("{status} by all workers"), || {
            self.all(request).iter().all(|seen| *seen == status).then_some(())
        })
        .unwrap();
    }
}

#[test]
fn one_fetch_serves_all_workers_from_the_first_request_on() {
    let keys = Upstream::start("keys").unwrap();
    keys.answer(200, &set(&["rs256"]));
    let mut proxy = start(keys, json!({}));
    let statuses = proxy.all(&with_token("rs256"));
    assert!(statuses.iter().all(|status| *status == 200), "{statuses:?}");
    assert_eq!(proxy.keys.requests(), 1);
    let labels = [("jwks_uri", "http://keys.example:8080/jwks"), ("result", "changed")];
    let fetches = proxy.envoy.admin().metric("outrigger_authz_jwks_fetches_total", &labels);
    assert_eq!(fetches, Ok(1));
}

#[test]
fn a_request_that_waited_for_keys_is_who_it_was() {
    let keys = Upstream::start("keys").unwrap();
    keys.answer(200, &set(&["rs256"]));
    // Attributes are asked for once more when the request goes on, in the callback of whatever brought the keys.
    let when = json!([
        {"key": "remote.ip", "values": ["127.0.0.0/8"]},
        {"key": "destination.ip", "values": ["127.0.0.0/8"]},
        {"key": "connection.sni", "notValues": ["elsewhere.example"]},
        {"key": "source.principal", "notValues": ["cluster.local/ns/shop/sa/cart"]},
    ]);
    let mut proxy = start_with(keys, json!({}), json!({ "when": when }));
    proxy.wait_for(&with_token("rs256"), 200);
    proxy.keys.answer(200, &set(&["rs256", "es256"]));
    let new = with_token("es256");
    poll::until(poll::DEADLINE, "the new key", || {
        let statuses = proxy.all(&new);
        assert!(!statuses.contains(&403), "{statuses:?}");
        statuses.iter().all(|status| *status == 200).then_some(())
    })
    .unwrap();
}

#[test]
fn the_first_token_by_a_new_key_brings_the_key() {
    let keys = Upstream::start("keys").unwrap();
    keys.answer(200, &set(&["rs256"]));
    let mut proxy = start(keys, json!({}));
    proxy.wait_for(&with_token("rs256"), 200);
    proxy.keys.answer(200, &set(&["rs256", "es256"]));
    proxy.wait_for(&with_token("es256"), 200);
    assert_eq!(proxy.keys.requests(), 2);
}

#[test]
fn a_key_that_is_taken_back_is_good_no_more() {
    let keys = Upstream::start("keys").unwrap();
    keys.answer(200, &set(&["rs256", "es256"]));
    let mut proxy = start(keys, json!({"cacheDuration": "1s"}));
    proxy.wait_for(&with_token("rs256"), 200);
    proxy.keys.answer(200, &set(&["es256"]));
    proxy.wait_for(&with_token("rs256"), 401);
    proxy.wait_for(&with_token("es256"), 200);
}

#[test]
fn keys_outlast_their_source_for_so_long_and_then_it_is_said() {
    let keys = Upstream::start("keys").unwrap();
    keys.answer(200, &set(&["rs256"]));
    let mut proxy = start(keys, json!({"cacheDuration": "1s", "maxStale": "8s"}));
    proxy.wait_for(&with_token("rs256"), 200);
    proxy.keys.answer(500, "out of order");
    let before = proxy.keys.requests();
    poll::until(poll::DEADLINE, "a fetch that fails", || {
        (proxy.keys.requests() > before).then_some(())
    })
    .unwrap();
    assert_eq!(proxy.clients[0].send(&with_token("rs256")).unwrap().status, 200);
    proxy.wait_for(&with_token("rs256"), 503);
    let response = proxy.clients[0].send(&with_token("rs256")).unwrap();
    let line = proxy.envoy.access_log().of(&response).unwrap();
    assert_eq!(line.text("details").unwrap(), "authz{keys_unavailable}");
    // Who shows no token is nobody, as ever.
    assert_eq!(proxy.clients[0].send(&Request::get("/")).unwrap().status, 401);
    proxy.keys.answer(200, &set(&["rs256"]));
    proxy.wait_for(&with_token("rs256"), 200);
}
