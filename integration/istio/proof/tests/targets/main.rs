//! Plugins by `targetRefs`: client → gateway of the Gateway API → waypoint → sidecar, by HBONE from the gateway on.

mod callers;
mod mesh;

use std::time::{SystemTime, UNIX_EPOCH};

use cases::Token;
use proof::{Bed, Fault, until};
use serde_json::{Value, json};

use crate::mesh::{Mesh, fresh, manifest};

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
