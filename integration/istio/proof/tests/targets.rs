//! Plugins by `targetRefs`: client → gateway of the Gateway API → waypoint → sidecar, by HBONE from the gateway on.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::{SystemTime, UNIX_EPOCH};

use cases::Token;
use proof::{Answer, Bed, Connection, Fault, Place, under_load, until};
use serde_json::{Value, json};

static UP: OnceLock<Result<(), Fault>> = OnceLock::new();
const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../..");

/// `integration/istio/targets`, up.
struct Mesh<'a> {
    place: Place<'a>,
    edge: String,
}

impl<'a> Mesh<'a> {
    fn up(bed: &'a Bed) -> Result<Self, Fault> {
        let place = bed.place("targets");
        let folder = Path::new(ROOT).join("integration/istio/targets");
        UP.get_or_init(|| place.bring_up(&folder)).clone()?;
        let edge = place.address("edge-istio")?;
        let mesh = Self { place, edge };
        mesh.settle("/orders", 200)?;
        mesh.settle("/stock", 200)?;
        Ok(mesh)
    }

    fn ask(&self, path: &str, headers: &[(&str, &str)]) -> Result<Answer, Fault> {
        Connection::to(&self.edge, 80).get("shop.example", path, headers)
    }

    /// Asks until twenty answers in a row have the wanted status: connections that are older than a plugin go past it
    /// until they are drained.
    fn settle(&self, path: &str, wanted: u16) -> Result<Answer, Fault> {
        until(&format!("{wanted} on every connection, for {path}"), || {
            let answers = (0..20).map(|_| self.ask(path, &[]));
            let answers = answers.collect::<Result<Vec<_>, Fault>>()?;
            let other = answers.iter().find(|answer| answer.status != wanted);
            other.map_or(Ok(()), |other| Err(format!("{} {}", other.status, other.body)))?;
            answers.into_iter().next().ok_or_else(String::new)
        })
    }

    /// Starts a deployment's pod anew, and waits until the old one is gone.
    fn renew(&self, deployment: &str) -> Result<(), Fault> {
        let name = format!("deployment/{deployment}");
        self.place.kubectl(&["rollout", "restart", &name], "")?;
        self.place.kubectl(&["rollout", "status", &name, "--timeout=60s"], "")?;
        let pods = ["get", "pods", "-l", &format!("app={deployment}"), "-o", "name"];
        until("the new pod alone", || {
            let pods = self.place.kubectl(&pods, "")?;
            if pods.lines().count() == 1 { Ok(()) } else { Err(pods) }
        })
    }

    /// The line about a path in the access log of a deployment's proxies.
    fn logged(&self, deployment: &str, path: &str) -> Result<Option<Value>, Fault> {
        let log = self.place.proxy_log(deployment)?;
        let mut lines = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        Ok(lines.find(|line| line.get("path").is_some_and(|own| own == path)))
    }

    fn wait_for_log(&self, deployment: &str, path: &str) -> Result<Value, Fault> {
        until(&format!("{path} in the log of {deployment}"), || {
            self.logged(deployment, path)?.ok_or_else(|| "it is not there".to_owned())
        })
    }

    fn manifest(&self, name: &str) -> Result<Value, Fault> {
        self.place.plugin(&manifest(name))
    }
}

fn manifest(name: &str) -> PathBuf {
    Path::new(ROOT).join("istio-manifests/targets").join(name)
}

/// A name that nobody has had yet: buckets outlive plugins, and logs tests.
fn fresh(name: &str) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    format!("{name}-{}", now.as_millis())
}

fn token(name: &str) -> Result<String, Fault> {
    let claims = json!({ "iss": "https://demo.example", "sub": name, "aud": "demo" });
    let token: Token = serde_json::from_value(json!({ "key": "rs256", "claims": claims }))
        .map_err(|error| error.to_string())?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_err(|error| error.to_string())?;
    Ok(format!("Bearer {}", token.mint(now.as_secs())?))
}

#[test]
fn a_request_goes_from_the_gateway_through_the_waypoint_and_by_no_other_way() {
    let bed = Bed::connect().unwrap();
    let mesh = Mesh::up(&bed).unwrap();
    let path = format!("/orders/{}", fresh("way"));
    assert_eq!(mesh.ask(&path, &[]).unwrap().status, 200);
    let waypoint = mesh.wait_for_log("waypoint", &path).unwrap();
    let cluster = "inbound-vip|8080|http|orders.targets.svc.cluster.local;";
    assert_eq!(waypoint["upstream_cluster"], cluster, "{waypoint}");
    mesh.wait_for_log("orders", &path).unwrap();

    let past = mesh.place.get_pod("orders", &path);
    assert!(past.is_err(), "a caller without an identity was answered: {past:?}");
    // Sidecars send straight to the pods, so what a waypoint decides needs a policy that lets in nobody else.
    let past = mesh.ask("/caller", &[]).unwrap();
    assert_eq!(past.said(&["name"]), "caller", "{}", past.body);
    assert_eq!(past.said(&["next", "body"]), "RBAC: access denied", "{}", past.body);
}

#[test]
fn a_plugin_on_a_gateway_decides_before_anything_behind_it_hears_of_the_request() {
    let bed = Bed::connect().unwrap();
    let mesh = Mesh::up(&bed).unwrap();
    let plugin = mesh.manifest("gateway.yaml").unwrap();
    let applied = mesh.place.apply(&plugin).unwrap();
    let refusal = mesh.settle("/orders/1", 401).unwrap();
    assert!(refusal.body.contains("authz"), "{}", refusal.body);

    let ann = fresh("ann");
    let (refused, allowed) = (format!("/orders/{ann}/refused"), format!("/orders/{ann}/allowed"));
    assert_eq!(mesh.ask(&refused, &[]).unwrap().status, 401);
    let answer = mesh.ask(&allowed, &[("authorization", &token(&ann).unwrap())]).unwrap();
    assert_eq!(answer.status, 200, "{}", answer.body);
    assert_eq!(answer.said(&["headers", "x-jwt-sub"]), ann, "{}", answer.body);
    mesh.wait_for_log("waypoint", &allowed).unwrap();
    assert_eq!(mesh.logged("waypoint", &refused).unwrap(), None);
    let evidence = mesh.wait_for_log("edge", &refused).unwrap();
    assert!(evidence["authz"].is_string(), "{evidence}");
    drop(applied);
    mesh.settle("/orders/1", 200).unwrap();
}

#[test]
fn a_plugin_on_a_waypoint_counts_what_goes_to_any_service_behind_it() {
    let bed = Bed::connect().unwrap();
    let mesh = Mesh::up(&bed).unwrap();
    let mut plugin = mesh.manifest("waypoint.yaml").unwrap();
    plugin["spec"]["pluginConfig"]["rules"][0]["tokenBucket"] =
        json!({ "maxTokens": 6, "fillInterval": "3600s" });
    let _applied = mesh.place.apply(&plugin).unwrap();
    mesh.settle("/orders", 429).unwrap();
    mesh.settle("/stock", 429).unwrap();
    let (one, other) = (fresh("ann"), fresh("bob"));
    let answers = ["/orders", "/stock"].iter().cycle().take(20);
    let answers = answers.map(|path| mesh.ask(path, &[("x-jwt-sub", &one)]).unwrap().status);
    assert_eq!(answers.filter(|status| *status == 200).count(), 6);
    assert_eq!(mesh.ask("/orders", &[("x-jwt-sub", &one)]).unwrap().status, 429);
    assert_eq!(mesh.ask("/stock", &[("x-jwt-sub", &other)]).unwrap().status, 200);
}

#[test]
fn a_plugin_on_a_waypoint_knows_who_asks() {
    let bed = Bed::connect().unwrap();
    let mesh = Mesh::up(&bed).unwrap();
    let mut plugin = mesh.manifest("waypoint.yaml").unwrap();
    let image = bed.push("suite").unwrap();
    plugin["spec"]["url"] = json!(image.url);
    let configured = |account: &str| {
        let from = json!([{ "source": { "serviceAccounts": [format!("targets/{account}")] } }]);
        let key = json!([{ "principal": {} }]);
        let bucket = json!({ "maxTokens": 1_000_000, "fillInterval": "1s" });
        json!({
            "authz": { "policies": [{ "name": account, "rules": [{ "from": from }] }] },
            "ratelimit": { "rules": [{ "name": "each", "key": key, "missingKey": "deny", "tokenBucket": bucket }] },
        })
    };
    plugin["spec"]["pluginConfig"] = configured("stranger");
    let _applied = mesh.place.apply(&plugin).unwrap();
    let refusal = mesh.settle("/orders", 403).unwrap();
    assert!(refusal.body.contains("authz: not_allowed"), "{}", refusal.body);
    plugin["spec"]["pluginConfig"] = configured("edge-istio");
    bed.replace(&plugin).unwrap();
    mesh.settle("/orders", 200).unwrap();
}

#[test]
fn each_caller_has_a_limit_of_its_own_over_a_new_configuration_and_a_new_version_under_load() {
    const LIMIT: usize = 500;
    let bed = Bed::connect().unwrap();
    let mesh = Mesh::up(&bed).unwrap();
    // The waypoint comes by HBONE, the other by mutual TLS.
    let _let_in = mesh
        .place
        .apply(&json!({
            "apiVersion": "security.istio.io/v1", "kind": "AuthorizationPolicy",
            "metadata": { "name": "the-caller-too" },
            "spec": {
                "selector": { "matchLabels": { "behind": "waypoint" } },
                "rules": [{ "from": [{ "source": { "principals": ["cluster.local/ns/targets/sa/caller"] } }] }],
            },
        }))
        .unwrap();
    let rule = |name: &str, paths: [&str; 2], limit: usize| {
        json!({ "name": name, "match": { "paths": paths }, "key": [{ "principal": {} }], "missingKey": "deny",
                "tokenBucket": { "maxTokens": limit, "fillInterval": "3600s" } })
    };
    let each = rule(&fresh("each"), ["/orders/limited", "/caller/limited"], LIMIT);
    let probe = rule(&fresh("probe"), ["/orders/probe", "/caller/probe"], 1);
    let mut plugin = mesh.manifest("waypoint.yaml").unwrap();
    plugin["spec"]["targetRefs"] = Value::Null;
    plugin["spec"]["selector"] = json!({ "matchLabels": { "app": "orders" } });
    plugin["spec"]["pluginConfig"] = json!({ "rules": [each, probe] });
    let _applied = mesh.place.apply(&plugin).unwrap();
    // A new pod, as nobody has a connection to it that is older than the plugin.
    mesh.renew("orders").unwrap();
    for path in ["/orders/probe", "/caller/probe"] {
        mesh.settle(path, 429).unwrap();
    }

    let ((), answers) = under_load(&mesh.edge, "/orders/limited", &[], |answers| {
        answers.wait_for_more("200", 20).unwrap();
        let added = rule("added", ["/orders/added", "/caller/added"], 1);
        plugin["spec"]["pluginConfig"]["rules"].as_array_mut().unwrap().push(added);
        bed.replace(&plugin).unwrap();
        mesh.settle("/orders/added", 429).unwrap();
        plugin["spec"]["url"] = json!(bed.push_version("ratelimit", "0.1.1").unwrap().url);
        let last = rule("last", ["/orders/last", "/caller/last"], 1);
        plugin["spec"]["pluginConfig"]["rules"].as_array_mut().unwrap().push(last);
        bed.replace(&plugin).unwrap();
        mesh.settle("/orders/last", 429).unwrap();
        answers.wait_for_more("429", 200).unwrap();
    });
    assert_eq!(answers.keys().collect::<Vec<_>>(), ["200", "429"], "{answers:?}");
    assert_eq!(answers.get("200"), Some(&LIMIT), "{answers:?}");
    let others = (0..LIMIT + 20).map(|_| mesh.ask("/caller/limited", &[]).unwrap().status);
    assert_eq!(others.filter(|status| *status == 200).count(), LIMIT);
}

#[test]
fn a_plugin_on_a_service_leaves_the_waypoints_other_services_alone() {
    let bed = Bed::connect().unwrap();
    let mesh = Mesh::up(&bed).unwrap();
    let mut plugin = mesh.manifest("service.yaml").unwrap();
    // Refuses what both services are asked for, once it is asked.
    plugin["spec"]["pluginConfig"]["authz"]["policies"][0]["rules"][0]["to"][0]["operation"]["paths"] =
        json!(["/orders/internal", "/stock"]);
    let _applied = mesh.place.apply(&plugin).unwrap();
    let refusal = mesh.settle("/orders/internal", 403).unwrap();
    assert!(refusal.body.contains("authz"), "{}", refusal.body);
    mesh.settle("/stock", 200).unwrap();

    let path = format!("/orders/{}", fresh("route"));
    assert_eq!(mesh.ask(&path, &[]).unwrap().status, 200);
    let waypoint = mesh.wait_for_log("waypoint", &path).unwrap();
    assert_eq!(waypoint["http_route"], "/orders/{order}", "{waypoint}");
    let sidecar = mesh.wait_for_log("orders", &path).unwrap();
    assert!(sidecar["http_route"].is_null(), "{sidecar}");
}

#[test]
fn a_plugin_in_istios_own_namespace_reaches_every_waypoint_by_its_class() {
    let bed = Bed::connect().unwrap();
    let mesh = Mesh::up(&bed).unwrap();
    let root = bed.place("istio-system");
    let mut plugin = root.plugin(&manifest("waypoint.yaml")).unwrap();
    plugin["spec"]["targetRefs"] = class("istio-waypoint");
    let _applied = root.apply(&plugin).unwrap();
    mesh.settle("/orders", 429).unwrap();
    mesh.settle("/stock", 429).unwrap();
}

#[test]
fn what_istio_accepts_without_a_word_and_then_runs_nowhere() {
    let bed = Bed::connect().unwrap();
    let mesh = Mesh::up(&bed).unwrap();
    let (gateway, waypoint) =
        (mesh.manifest("gateway.yaml").unwrap(), mesh.manifest("waypoint.yaml").unwrap());
    let named = |name: &str, plugin: &Value, change: Value| {
        let mut plugin = plugin.clone();
        plugin["metadata"]["name"] = json!(name);
        for (key, value) in change.as_object().unwrap() {
            plugin["spec"][key] = value.clone();
        }
        plugin
    };
    let pods_of = |gateway: &str| {
        let labels = json!({ "gateway.networking.k8s.io/gateway-name": gateway });
        json!({ "targetRefs": null, "selector": { "matchLabels": labels } })
    };
    let port = json!({ "match": [{ "mode": "SERVER", "ports": [{ "number": 8080 }] }] });
    let silent = json!({ "apiVersion": "v1", "kind": "List", "items": [
        named("silent-server", &gateway, json!({ "match": [{ "mode": "SERVER" }] })),
        named("silent-client", &waypoint, json!({ "match": [{ "mode": "CLIENT" }] })),
        named("silent-port", &waypoint, port),
        named("silent-labels", &waypoint, pods_of("waypoint")),
        named("silent-class", &waypoint, json!({ "targetRefs": class("istio-waypoint") })),
    ] });
    let _silent = mesh.place.apply(&silent).unwrap();
    let root = bed.place("istio-system");
    let mut elsewhere =
        named("silent-class-of-gateways", &gateway, json!({ "targetRefs": class("istio") }));
    elsewhere["metadata"]["namespace"] = json!("istio-system");
    let _elsewhere = root.apply(&elsewhere).unwrap();
    // Later than all of them, so once these are there, those would be.
    let heard = json!({ "apiVersion": "v1", "kind": "List", "items": [
        named("heard-labels", &gateway, pods_of("edge")),
        named("heard-target", &waypoint, json!({})),
    ] });
    let _heard = mesh.place.apply(&heard).unwrap();
    for (proxy, heard) in [("edge-istio", "heard-labels"), ("waypoint", "heard-target")] {
        let proxy = format!("deployment/{proxy}");
        let told = until(&format!("{heard} at {proxy}"), || {
            let all = ["-n", "targets", "proxy-config", "listeners", &proxy, "-o", "json"];
            let told = bed.run("istioctl", &all, "")?;
            if told.contains(heard) { Ok(told) } else { Err("it is not there".to_owned()) }
        })
        .unwrap();
        assert!(!told.contains("silent-"), "{proxy} runs what it should not: {told}");
    }
}

/// All gateways of a class.
fn class(name: &str) -> Value {
    json!([{ "group": "gateway.networking.k8s.io", "kind": "GatewayClass", "name": name }])
}
