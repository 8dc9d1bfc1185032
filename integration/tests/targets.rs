//! Every `pluginConfig` in those folders of `istio-manifests/` that have one form of a plugin only is one that the module in
//! its `url` takes.

use std::path::Path;

use integration::{Bootstrap, Plugin, validate, workspace};
use serde_json::Value;

/// The WasmPlugins in a folder, each accepted by its module: the modules, and what each plugin's `spec` says.
fn accepted(folder: &str) -> Result<Vec<(String, Value)>, String> {
    let folder = workspace::root().join("istio-manifests").join(folder);
    let fault = |error: std::io::Error| format!("{}: {error}", folder.display());
    let mut checked = Vec::new();
    for entry in std::fs::read_dir(&folder).map_err(fault)? {
        let path = entry.map_err(fault)?.path();
        let manifest = read(&path)?;
        if manifest.get("kind").is_none_or(|kind| kind != "WasmPlugin") {
            continue;
        }
        let at = |pointer: &str| {
            manifest.pointer(pointer).ok_or_else(|| format!("{}: no {pointer}", path.display()))
        };
        let url = at("/spec/url")?.as_str().unwrap_or_default();
        let image = url.strip_prefix("oci://registry.example/outrigger/");
        let (module, _) = image.and_then(|image| image.split_once(':')).ok_or(url)?;

        let mut bootstrap = Bootstrap::anywhere("telemetry", &std::env::temp_dir())?;
        let plugin = Plugin::shipped(module, at("/spec/pluginConfig")?);
        let demo = bootstrap.demo()?.with_plugins(&[plugin])?;
        bootstrap.set_listeners(vec![demo])?;
        let validation = validate(&bootstrap)?;
        if !validation.accepted {
            return Err(format!("{}: {}", path.display(), validation.log));
        }
        checked.push((module.to_owned(), at("/spec")?.clone()));
    }
    checked.sort_by(|(one, _), (other, _)| one.cmp(other));
    Ok(checked)
}

fn read(path: &Path) -> Result<Value, String> {
    let text = std::fs::read_to_string(path).map_err(|error| error.to_string());
    let value = text.and_then(|text| serde_saphyr::from_str(&text).map_err(|e| e.to_string()));
    value.map_err(|error| format!("{}: {error}", path.display()))
}

fn modules(checked: &[(String, Value)]) -> Vec<&str> {
    checked.iter().map(|(module, _)| module.as_str()).collect()
}

#[test]
fn every_configuration_of_a_plugin_with_a_target_is_accepted() {
    let checked = accepted("targets").unwrap();
    assert_eq!(modules(&checked), ["authz", "ratelimit", "suite"]);
    for (module, spec) in &checked {
        assert!(spec["targetRefs"].is_array() && spec.get("selector").is_none(), "{module}");
    }
}

#[test]
fn every_configuration_of_a_plugin_beside_weights_is_accepted_and_tells_the_route_its_bucket() {
    let checked = accepted("weights").unwrap();
    assert_eq!(modules(&checked), ["canary", "telemetry"]);
    let (_, canary) = &checked[0];
    let header = &canary["pluginConfig"]["rollouts"][0]["bucketHeader"]["name"];
    let route = read(&workspace::root().join("istio-manifests/weights/route.yaml")).unwrap();
    let patch = &route["spec"]["configPatches"][0]["patch"]["value"]["route"];
    assert_eq!(&patch["weighted_clusters"]["header_name"], header);
}

#[test]
fn every_configuration_of_a_guard_and_of_a_role_is_accepted() {
    assert_eq!(modules(&accepted("guard").unwrap()), ["canary"]);
    let roles = accepted("roles").unwrap();
    assert_eq!(modules(&roles), ["canary", "canary"]);
    // Two that do not mean the same rollouts would not understand each other.
    let rollouts = |role: usize| &roles[role].1["pluginConfig"]["rollouts"];
    assert_eq!(rollouts(0), rollouts(1));
}

#[test]
fn every_configuration_of_traces_is_accepted_and_tells_the_same_collector() {
    let traces = accepted("traces").unwrap();
    assert_eq!(modules(&traces), ["telemetry", "telemetry"]);
    let told = |hop: usize, what: &str| {
        traces[hop].1["pluginConfig"]["traceContext"]["otlp"][what].as_str().unwrap()
    };
    for what in ["cluster", "authority"] {
        assert_eq!(told(0, what), told(1, what));
    }
    let (cluster, authority) = (told(0, "cluster"), told(0, "authority"));
    let mut parts = cluster.split('|').skip(1);
    let (port, host) = (parts.next().unwrap(), parts.nth(1).unwrap());
    assert_eq!(authority, format!("{host}:{port}"));
}
