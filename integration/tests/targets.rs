//! Every `pluginConfig` in `istio-manifests/targets/` and `istio-manifests/weights/` is one that the module in its `url`
//! takes.

use integration::{Bootstrap, Plugin, validate, workspace};
use serde_json::Value;

/// The WasmPlugins in a folder, each accepted by its module: the modules, and what each plugin's `spec` says.
fn accepted(folder: &str) -> Vec<(String, Value)> {
    let mut checked = Vec::new();
    for entry in std::fs::read_dir(workspace::root().join("istio-manifests").join(folder)).unwrap()
    {
        let path = entry.unwrap().path();
        let text = std::fs::read_to_string(&path).unwrap();
        let manifest: Value = serde_saphyr::from_str(&text).unwrap();
        if manifest["kind"] != "WasmPlugin" {
            continue;
        }
        let spec = manifest["spec"].clone();
        let url = spec["url"].as_str().unwrap();
        let image = url.strip_prefix("oci://registry.example/outrigger/").unwrap();
        let (module, _) = image.split_once(':').unwrap();

        let mut bootstrap = Bootstrap::anywhere("telemetry", &std::env::temp_dir()).unwrap();
        let demo = bootstrap.demo().unwrap();
        let demo = demo.with_plugins(&[Plugin::shipped(module, &spec["pluginConfig"])]).unwrap();
        bootstrap.set_listeners(vec![demo]).unwrap();
        let validation = validate(&bootstrap).unwrap();
        assert!(validation.accepted, "{path:?}: {}", validation.log);
        checked.push((module.to_owned(), spec));
    }
    checked.sort_by(|(one, _), (other, _)| one.cmp(other));
    checked
}

fn modules(checked: &[(String, Value)]) -> Vec<&str> {
    checked.iter().map(|(module, _)| module.as_str()).collect()
}

#[test]
fn every_configuration_of_a_plugin_with_a_target_is_accepted() {
    let checked = accepted("targets");
    assert_eq!(modules(&checked), ["authz", "ratelimit", "suite"]);
    for (module, spec) in &checked {
        assert!(spec["targetRefs"].is_array() && spec.get("selector").is_none(), "{module}");
    }
}

#[test]
fn every_configuration_of_a_plugin_beside_weights_is_accepted_and_tells_the_route_its_bucket() {
    let checked = accepted("weights");
    assert_eq!(modules(&checked), ["canary", "telemetry"]);
    let (_, canary) = &checked[0];
    let header = &canary["pluginConfig"]["rollouts"][0]["bucketHeader"]["name"];
    let file = workspace::root().join("istio-manifests/weights/route.yaml");
    let route: Value = serde_saphyr::from_str(&std::fs::read_to_string(file).unwrap()).unwrap();
    let patch = &route["spec"]["configPatches"][0]["patch"]["value"]["route"];
    assert_eq!(&patch["weighted_clusters"]["header_name"], header);
}
