//! Conditions in CEL on a real Envoy, where the corpus of cases cannot look: when the configuration changes, and while a
//! request is held. What conditions mean is in the corpus.
#![expect(clippy::unwrap_used, reason = "these are tests")]

use std::time::{SystemTime, UNIX_EPOCH};

use cases::Token;
use integration::discovered::Discovered;
use integration::refusal::refusals;
use integration::{Bootstrap, Client, Envoy, Plugin, Request, Upstream, poll};
use serde_json::{Value, json};

/// Denies by this condition, and allows everything else.
fn closed(condition: &str) -> Value {
    json!({"policies": [
        {"name": "closed", "action": "DENY", "rules": [{"condition": condition}]},
        {"name": "open", "rules": [{}]},
    ]})
}

#[test]
fn a_condition_that_does_not_compile_leaves_the_last_one_in_force() {
    let upstream = Upstream::start("v1").unwrap();
    let authz = |condition: &str| Plugin::shipped("authz", &closed(condition));
    let first = authz("int(request.headers['x-tier']) > 2");
    let mut envoy = Discovered::start(&first, upstream.address()).unwrap();
    let statuses = |envoy: &mut Discovered| {
        ["1", "3", "gold"].map(|tier| {
            let request = Request::get("/").with("x-tier", tier);
            envoy.send(&request).unwrap().status
        })
    };
    assert_eq!(statuses(&mut envoy), [200, 403, 403]);

    let verdict = envoy.push(&authz("int(request.headers['x-tier']) >")).unwrap();
    assert!(!verdict.accepted);
    let refused = &refusals(&verdict.log)[0];
    assert_eq!(refused.pointer, "/policies/0/rules/0/condition");
    // As the page promises, the proxy's log has the reason.
    assert!(verdict.log.contains("expr_create parse error"), "{}", verdict.log);
    assert_eq!(statuses(&mut envoy), [200, 403, 403]);

    assert!(envoy.push(&authz("int(request.headers['x-tier']) < 2")).unwrap().accepted);
    let next = poll::until(poll::DEADLINE, "the workers", || {
        (statuses(&mut envoy) == [403, 200, 403]).then_some(())
    });
    assert_eq!(next, Ok(()));
}

/// Many conditions, each of which takes the proxy a few kilobytes.
fn many(version: usize) -> Value {
    let rules: Vec<Value> = (0..200)
        .map(|rule| {
            let tests =
                (0..20).map(|at| format!("request.headers['x-{version}-{rule}-{at}'] == ''"));
            json!({"condition": tests.collect::<Vec<_>>().join(" || ")})
        })
        .collect();
    json!({"policies": [{"name": "many", "rules": rules}]})
}

#[test]
fn conditions_that_were_replaced_or_refused_take_no_memory() {
    let upstream = Upstream::start("v1").unwrap();
    let first = Plugin::shipped("authz", &many(0));
    let mut envoy = Discovered::start_with(&first, upstream.address(), 1).unwrap();
    let mut memory = Vec::new();
    for version in 1..=24 {
        let mut document = many(version);
        let refused = version % 2 == 0;
        if refused {
            document["policies"][0]["rules"][199]["condition"] = "nothing(".into();
        }
        let verdict = envoy.push(&Plugin::shipped("authz", &document)).unwrap();
        assert_eq!(verdict.accepted, !refused, "{}", verdict.log);
        envoy.send(&Request::get("/")).unwrap();
        memory.push(envoy.envoy().admin().memory().unwrap());
    }
    let first = memory[0];
    let most = *memory.iter().max().unwrap();
    // One set of them takes the proxy almost half of all its memory.
    assert!(most < first + first / 8, "{memory:?}");
    assert!(envoy.push(&Plugin::shipped("authz", &closed("true"))).unwrap().accepted);
    let freed = poll::until(poll::DEADLINE, "the memory of the last", || {
        let now = envoy.envoy().admin().memory().ok()?;
        (now < first - first / 4).then_some(())
    });
    assert_eq!(freed, Ok(()));
}

/// A token of the demo's issuer.
fn bearer() -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let token = json!({"key": "es256", "claims": {"iss": "https://demo.example", "sub": "ann"}});
    let token: Token = serde_json::from_value(token).unwrap();
    format!("Bearer {}", token.mint(now).unwrap())
}

/// The first requests with tokens are held until the keys are fetched, and go on in the callback of the fetch or of the
/// clock; their condition is about them all the same.
#[test]
fn a_held_request_is_judged_by_what_it_is() {
    let (keys, upstream) = (Upstream::start("keys").unwrap(), Upstream::start("v1").unwrap());
    let mut bootstrap = Bootstrap::before("authz", &[("v1", upstream.address())]).unwrap();
    let (ip, port) = (keys.address().ip().to_string(), keys.address().port());
    let socket = json!({"socket_address": {"address": ip, "port_value": port}});
    let endpoints = json!([{"lb_endpoints": [{"endpoint": {"address": socket}}]}]);
    let assignment = json!({"cluster_name": "keys", "endpoints": endpoints});
    bootstrap.add_clusters(vec![json!({"name": "keys", "load_assignment": assignment})]).unwrap();
    let condition = "request.headers['x-env'] == 'prod' && request.method == 'GET'";
    let known = json!([{"source": {"requestPrincipals": ["*"]}}]);
    let document = json!({
        "jwtRules": [{
            "issuer": "https://demo.example",
            "jwksUri": "http://keys.example/jwks",
            "jwksCluster": "keys",
        }],
        "policies": [{"name": "known", "rules": [{"from": known, "condition": condition}]}],
    });
    let demo = bootstrap.demo().unwrap();
    // A plugin for each, so that each is the first.
    let cases = [("prod", 200), ("test", 403)];
    let listener = |(env, _): &(&str, u16)| {
        let listener = demo.clone().named(env).unwrap();
        listener.configure("authz", env, &document.to_string()).unwrap()
    };
    bootstrap.set_listeners(cases.iter().map(listener).collect()).unwrap();
    keys.answer(200, cases::JWKS);
    let envoy = Envoy::start(&bootstrap, 1).unwrap();
    for (env, status) in cases {
        let mut client = Client::new(envoy.listener(env).unwrap());
        let request = Request::get("/").with("authorization", bearer()).with("x-env", env);
        assert_eq!(client.send(&request).unwrap().status, status, "{env}");
    }
}
