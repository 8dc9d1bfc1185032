//! Labels are what Envoy knows of a request: what other filters left, who the peer is, which host it went to. All of it is
//! read in one expression, which must not fail for what is not there.
#![expect(clippy::unwrap_used, reason = "these are tests")]

use integration::{Bootstrap, Client, Envoy, Listener, Plugin, Request, Upstream, poll};
use serde_json::{Value, json};

/// A native filter that leaves what these configure.
fn native(name: &str, kind: &str, mut config: Value) -> Value {
    let url = format!("type.googleapis.com/envoy.extensions.filters.http.{kind}");
    config.as_object_mut().unwrap().insert("@type".to_owned(), url.into());
    json!({"name": name, "typed_config": config})
}

/// Telemetry and canary, behind what plays `jwt_authn` and the listener that mutual TLS ends at.
fn listener(demo: Listener) -> Listener {
    let telemetry = Plugin::shipped(
        "telemetry",
        &json!({
            "labels": {
                "statusCodes": [200], "errorType": true, "protocol": true,
                "tenant": {"claim": {"name": "tenant"}, "max": 3},
                "callerWorkload": {"allowed": ["shop/cart"]},
                "canaryVariant": {"rollout": "checkout", "allowed": ["v1", "v2"]},
                "upstreamRevision": {"max": 3},
            },
            "maxSeries": 100, "duration": {}, "bodySizes": {},
            "sinks": ["FILTER_STATE", "FILTER_STATE_AT_END", "METRICS"],
        }),
    );
    let variants = json!([{"name": "v2", "weight": 100}]);
    let rollout = json!({"name": "checkout", "header": "x-version", "key": [{"header": "x-user"}],
        "stable": "v1", "variants": variants});
    let canary = Plugin::shipped("canary", &json!({ "rollouts": [rollout] }));
    let claims = json!([{"metadata_namespace": "envoy.filters.http.jwt_authn",
        "value": {"payload": {"tenant": "acme"}}}]);
    let peer = "spiffe://cluster.local/ns/shop/sa/cart";
    let peer = json!([{
        "object_key": "io.istio.peer_principal",
        "factory_key": "envoy.hashable_string",
        "format_string": {"text_format_source": {"inline_string": peer}},
    }]);
    let filters = vec![
        telemetry.to_filter().unwrap(),
        native("claims", "set_metadata.v3.Config", json!({ "metadata": claims })),
        native("peer", "set_filter_state.v3.Config", json!({ "on_request_headers": peer })),
        canary.to_filter().unwrap(),
    ];
    demo.with_filters(filters).unwrap()
}

#[test]
fn labels_are_what_the_proxy_knows() {
    let upstream = Upstream::start("v1").unwrap();
    let mut bootstrap = Bootstrap::before("telemetry-red", &[("v1", upstream.address())]).unwrap();
    let (ip, port) = (upstream.address().ip().to_string(), upstream.address().port());
    let endpoint = json!({
        "endpoint": {"address": {"socket_address": {"address": ip, "port_value": port}}},
        "metadata": {"filter_metadata": {"istio": {"workload": "cart;shop;cart;r7;here"}}},
    });
    let load = json!({"cluster_name": "cart", "endpoints": [{"lb_endpoints": [endpoint]}]});
    bootstrap.add_clusters(vec![json!({"name": "cart", "load_assignment": load})]).unwrap();
    let states = ["request_tenant", "request_upstream_revision", "request_canary_version"];
    let route = json!({"match": {"prefix": "/cart"}, "route": {"cluster": "cart"}});
    let own = json!({"match": {"prefix": "/own"}, "direct_response": {"status": 200}});
    let demo = listener(bootstrap.demo().unwrap()).with_first_route(route).unwrap();
    let demo = demo.with_first_route(own).unwrap().logging(states).unwrap();
    bootstrap.set_listeners(vec![demo]).unwrap();
    let envoy = Envoy::start(&bootstrap, 1).unwrap();
    let mut client = Client::new(envoy.listener("demo").unwrap());
    for path in ["/cart/7", "/own"] {
        let request = Request::get(path).with("x-user", "ann");
        assert_eq!(client.send(&request).unwrap().status, 200);
    }
    let metrics = || envoy.admin().stats("wasmcustom.http_server_requests_total").unwrap();
    let expected = |revision: &str| {
        format!(
            "wasmcustom.http_server_requests_total.http_route=.=_other;.;\
             http_request_method=.=GET;.;outcome=.=ok;.;http_response_status_code=.=200;.;\
             network_protocol_version=.=1.1;.;tenant=.=acme;.;caller_workload=.=shop/cart;.;\
             canary_version=.=v2;.;upstream_revision=.={revision};.;"
        )
    };
    for revision in ["r7", "unknown"] {
        poll::until(poll::DEADLINE, revision, || {
            (metrics().get(&expected(revision)) == Some(&1)).then_some(())
        })
        .unwrap_or_else(|error| panic!("{error}: {:?}", metrics()));
    }
}

#[test]
fn a_header_is_a_label_if_it_came_once() {
    let upstream = Upstream::start("v1").unwrap();
    let mut bootstrap = Bootstrap::before("telemetry-red", &[("v1", upstream.address())]).unwrap();
    let tenants = json!({"tenant": {"header": "x-tenant", "allowed": ["acme", "a,b"]}});
    let telemetry = Plugin::shipped("telemetry", &json!({ "labels": tenants }));
    let own = json!({"match": {"prefix": "/"}, "direct_response": {"status": 200}});
    let filters = vec![telemetry.to_filter().unwrap()];
    let demo = bootstrap.demo().unwrap().with_filters(filters).unwrap();
    bootstrap.set_listeners(vec![demo.with_first_route(own).unwrap()]).unwrap();
    let envoy = Envoy::start(&bootstrap, 1).unwrap();
    let mut client = Client::new(envoy.listener("demo").unwrap());
    let sent: [&[&str]; 7] =
        [&["acme"], &["a,b"], &["acme", "acme"], &["a", "b"], &[], &[""], &["other"]];
    for values in sent {
        let request = values.iter().fold(Request::get("/"), |all, one| all.with("x-tenant", one));
        assert_eq!(client.send(&request).unwrap().status, 200);
    }
    let count = |tenant: &str| {
        let name = format!(
            "wasmcustom.http_server_requests_total.http_route=.=_other;.;\
             http_request_method=.=GET;.;outcome=.=ok;.;tenant=.={tenant};.;"
        );
        let stats = envoy.admin().stats("wasmcustom.http_server_requests_total").unwrap();
        stats.get(&name).copied().unwrap_or_default()
    };
    let expected = [("acme", 1), ("a,b", 1), ("_other", 1), ("unknown", 4)];
    poll::until(poll::DEADLINE, "all to be counted", || {
        expected.iter().all(|(tenant, times)| count(tenant) == *times).then_some(())
    })
    .unwrap_or_else(|error| panic!("{error}: {:?}", expected.map(|(tenant, _)| count(tenant))));
}
