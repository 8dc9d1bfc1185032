//! Trace context through a real Envoy: the conformance suite of W3C Trace Context, as the upstream sees it, with the
//! filter alone, with Envoy's own tracers alone, and with both.
#![expect(clippy::unwrap_used, reason = "these are tests")]

use std::collections::{BTreeMap, BTreeSet};

use cases::propagation::{PropagationSuite, place};
use integration::upstream::Echo;
use integration::{Bootstrap, Client, Envoy, Plugin, Request, Response, Upstream, workspace};
use serde_json::{Value, json};

struct Subject {
    _envoy: Envoy,
    _upstreams: [Upstream; 2],
    client: Client,
}

impl Subject {
    /// An Envoy with this for `traceContext`, if anything, and this tracer.
    fn start(trace_context: &Value, tracing: Option<Value>) -> Self {
        let upstreams = ["v1", "collector"].map(|name| Upstream::start(name).unwrap());
        let [upstream, collector] = &upstreams;
        let mut bootstrap = Bootstrap::before("telemetry", &[("v1", upstream.address())]).unwrap();
        bootstrap.add_clusters(vec![cluster("collector", collector)]).unwrap();
        let mut plugins = Vec::new();
        if !trace_context.is_null() {
            plugins.push(Plugin::shipped("telemetry", &json!({ "traceContext": trace_context })));
        }
        let mut listener = bootstrap.demo().unwrap().with_plugins(&plugins).unwrap();
        if let Some(tracing) = tracing {
            listener = listener.managed("tracing", tracing).unwrap();
        }
        bootstrap.set_listeners(vec![listener]).unwrap();
        let envoy = Envoy::start(&bootstrap, 1).unwrap();
        let client = Client::new(envoy.listener("demo").unwrap());
        Self { _envoy: envoy, _upstreams: upstreams, client }
    }

    fn ask(&mut self, lines: &[(String, String)]) -> Response {
        let request = lines
            .iter()
            .fold(Request::get("/"), |request, (name, value)| request.with(name, value));
        self.client.send(&request).unwrap()
    }

    /// What the upstream gets of these lines.
    fn sends(&mut self, lines: &[(String, String)]) -> BTreeMap<String, Vec<String>> {
        let echo = Echo::of(&self.ask(lines)).unwrap();
        let mut sent: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for (name, value) in echo.headers {
            sent.entry(name).or_default().push(value);
        }
        sent
    }

    fn failures(&mut self) -> Vec<String> {
        suite().failures(|lines| Ok(self.sends(lines)))
    }
}

/// The names of the cases among these failures.
fn cases(failures: &[String]) -> BTreeSet<&str> {
    failures.iter().filter_map(|failure| failure.split(':').next()).collect()
}

fn suite() -> PropagationSuite {
    let path = "filters/telemetry/cases/w3c/trace-context.yaml";
    PropagationSuite::read(&workspace::root().join(path)).unwrap()
}

fn cluster(name: &str, upstream: &Upstream) -> Value {
    let (ip, port) = (upstream.address().ip().to_string(), upstream.address().port());
    let address = json!({"socket_address": {"address": ip, "port_value": port}});
    let endpoint = json!({"endpoint": {"address": address}});
    let assignment = json!({"cluster_name": name, "endpoints": [{"lb_endpoints": [endpoint]}]});
    json!({"name": name, "load_assignment": assignment})
}

fn opentelemetry() -> Value {
    let kind = "type.googleapis.com/envoy.config.trace.v3.OpenTelemetryConfig";
    let grpc = json!({"envoy_grpc": {"cluster_name": "collector"}});
    json!({"provider": {
        "name": "envoy.tracers.opentelemetry",
        "typed_config": {"@type": kind, "grpc_service": grpc, "service_name": "demo"},
    }})
}

fn zipkin() -> Value {
    json!({"provider": {
        "name": "envoy.tracers.zipkin",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.config.trace.v3.ZipkinConfig",
            "collector_cluster": "collector",
            "collector_endpoint": "/api/v2/spans",
            "collector_endpoint_version": "HTTP_JSON",
            "trace_context_option": "USE_B3_WITH_W3C_PROPAGATION",
            "trace_id_128bit": true,
        },
    }})
}

#[test]
fn all_of_the_suite_passes_in_sanitise_and_in_originate_mode() {
    for trace_context in
        [json!({"mode": "sanitise"}), json!({"mode": "originate", "randomSamplingPercentage": 50})]
    {
        let failures = Subject::start(&trace_context, None).failures();
        assert!(failures.is_empty(), "{trace_context}: {failures:#?}");
    }
    assert_eq!(suite().cases.len(), 41);
}

/// The cases that fail beside a tracer.
fn failing(trace_context: &Value, tracing: &Value) -> BTreeSet<String> {
    let failures = Subject::start(trace_context, Some(tracing.clone())).failures();
    cases(&failures).into_iter().map(str::to_owned).collect()
}

#[test]
fn beside_a_tracer_of_envoys_a_new_context_stands_in_for_those_that_it_cannot_read() {
    let sanitise = json!({"mode": "sanitise"});
    let alone = failing(&Value::Null, &opentelemetry());
    assert_eq!(suite().cases.len() - alone.len(), 16);
    assert_eq!(failing(&json!({"mode": "pass"}), &opentelemetry()), alone);
    // What the tracer read it writes as it read it.
    let together = failing(&sanitise, &opentelemetry());
    let expected = [
        "test_propagates_random_flag",
        "test_traceparent_duplicated",
        "test_traceparent_version_0xff",
        "test_tracestate_key_illegal_characters",
        "test_tracestate_key_illegal_vendor_format",
        "test_tracestate_key_length_limit",
        "test_tracestate_member_count_limit",
        "test_tracestate_value_illegal_characters",
    ];
    assert_eq!(together, expected.map(str::to_owned).into());

    let alone = failing(&Value::Null, &zipkin());
    assert_eq!(suite().cases.len() - alone.len(), 29);
    // It never writes a tracestate.
    let together = failing(&sanitise, &zipkin());
    let expected = [
        "test_multiple_requests_with_valid_traceparent",
        "test_propagates_random_flag",
        "test_traceparent_duplicated",
        "test_traceparent_included_tracestate_missing",
        "test_traceparent_version_0xcc",
        "test_traceparent_version_0xff",
    ];
    assert_eq!(together, expected.map(str::to_owned).into());
}

#[test]
fn only_a_peer_that_is_trusted_continues_its_trace() {
    // Istio's listener that mutual TLS ends in, played by a header.
    let peer = json!({
        "name": "connect_authority",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.set_filter_state.v3.Config",
            "on_request_headers": [{
                "object_key": "io.istio.peer_principal",
                "factory_key": "envoy.hashable_string",
                "format_string": {"text_format_source": {"inline_string": "%REQ(x-peer)%"}},
            }],
        },
    });
    let document = json!({"traceContext": {
        "mode": "originate",
        "randomSamplingPercentage": 0,
        "trusted": [{"principals": ["cluster.local/ns/shop/*"]}],
    }});
    let plugin = Plugin::shipped("telemetry", &document).to_filter().unwrap();
    let upstream = Upstream::start("v1").unwrap();
    let mut bootstrap = Bootstrap::before("telemetry", &[("v1", upstream.address())]).unwrap();
    let listener = bootstrap.demo().unwrap().with_filters(vec![peer, plugin]).unwrap();
    bootstrap.set_listeners(vec![listener]).unwrap();
    let envoy = Envoy::start(&bootstrap, 1).unwrap();
    let mut client = Client::new(envoy.listener("demo").unwrap());
    let trace = "12345678901234567890123456789012";
    for (peer, continued) in [
        ("spiffe://cluster.local/ns/shop/sa/cart", true),
        ("spiffe://cluster.local/ns/other/sa/cart", false),
        ("-", false),
    ] {
        let request = Request::get("/")
            .with("x-peer", peer)
            .with("traceparent", format!("00-{trace}-1234567890123456-01"))
            .with("baggage", "tenant=acme");
        let echo = Echo::of(&client.send(&request).unwrap()).unwrap();
        let traceparent = echo.header("traceparent").unwrap();
        let (sent, _, flags) = place(&traceparent).unwrap();
        assert_eq!((sent == trace, flags), (continued, if continued { 1 } else { 2 }), "{peer}");
        assert_eq!(echo.header("baggage").is_some(), continued, "{peer}");
    }
}

#[test]
fn ids_are_random_and_told_alike_to_upstream_log_and_caller() {
    let upstream = Upstream::start("v1").unwrap();
    let mut bootstrap = Bootstrap::before("telemetry", &[("v1", upstream.address())]).unwrap();
    let document = json!({"traceContext": {
        "mode": "originate",
        "randomSamplingPercentage": 100,
        "inject": ["tracecontext", "b3", "b3multi", "jaeger"],
        "respond": ["traceresponse", "serverTiming"],
        "baggage": {"publish": ["tenant"]},
    }});
    let states = ["trace_id", "span_id", "baggage_tenant"];
    let listener = bootstrap.demo().unwrap();
    let listener = listener.with_plugins(&[Plugin::shipped("telemetry", &document)]).unwrap();
    bootstrap.set_listeners(vec![listener.logging(states).unwrap()]).unwrap();
    let envoy = Envoy::start(&bootstrap, 1).unwrap();
    let mut client = Client::new(envoy.listener("demo").unwrap());
    let mut seen = BTreeSet::new();
    for _ in 0..20 {
        let response = client.send(&Request::get("/").with("baggage", "tenant=acme")).unwrap();
        let echo = Echo::of(&response).unwrap();
        let traceparent = echo.header("traceparent").unwrap();
        let (trace, span, flags) = place(&traceparent).unwrap();
        assert_eq!(flags, 3);
        let header = |name: &str| echo.header(name).unwrap_or_default();
        assert_eq!(header("b3"), format!("{trace}-{span}-1"));
        assert_eq!(header("x-b3-traceid"), trace);
        assert_eq!(header("x-b3-spanid"), span);
        assert_eq!(header("x-b3-sampled"), "1");
        assert_eq!(header("uber-trace-id"), format!("{trace}:{span}:0:1"));
        assert_eq!(response.header("traceresponse").as_ref(), Some(&traceparent));
        let timing = format!("trace;desc={traceparent}");
        assert_eq!(response.header("server-timing"), Some(timing));
        let log = envoy.access_log().of(&response).unwrap();
        assert_eq!(log.text("trace_id").as_deref(), Some(trace));
        assert_eq!(log.text("span_id").as_deref(), Some(span));
        assert_eq!(log.text("baggage_tenant").as_deref(), Some("acme"));
        seen.extend([trace.to_owned(), span.to_owned()]);
    }
    assert_eq!(seen.len(), 40);
}

#[test]
fn who_is_refused_by_another_filter_is_told_a_place_too() {
    let telemetry = json!({"traceContext": {
        "mode": "originate", "randomSamplingPercentage": 0, "respond": ["traceresponse"],
    }});
    let nobody =
        json!([{"name": "nobody", "rules": [{"to": [{"operation": {"paths": ["/none"]}}]}]}]);
    let authz = json!({ "policies": nobody });
    let suite = Plugin::shipped("suite", &json!({ "telemetry": telemetry, "authz": authz }));
    let chain = vec![Plugin::shipped("telemetry", &telemetry), Plugin::shipped("authz", &authz)];
    for plugins in [chain, vec![suite]] {
        let upstream = Upstream::start("v1").unwrap();
        let mut bootstrap = Bootstrap::before("telemetry", &[("v1", upstream.address())]).unwrap();
        let listener = bootstrap.demo().unwrap().with_plugins(&plugins).unwrap();
        bootstrap.set_listeners(vec![listener]).unwrap();
        let envoy = Envoy::start(&bootstrap, 1).unwrap();
        let mut client = Client::new(envoy.listener("demo").unwrap());
        let response = client.send(&Request::get("/")).unwrap();
        assert_eq!(response.status, 403);
        place(&response.header("traceresponse").unwrap()).unwrap();
    }
}
