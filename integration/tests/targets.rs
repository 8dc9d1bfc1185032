//! Every `pluginConfig` in `istio-manifests/targets/` is one that the module in its `url` takes.

use integration::{Bootstrap, Plugin, validate, workspace};
use serde_json::Value;

#[test]
fn every_configuration_of_a_plugin_with_a_target_is_accepted() {
    let mut checked = Vec::new();
    for entry in std::fs::read_dir(workspace::root().join("istio-manifests/targets")).unwrap() {
        let path = entry.unwrap().path();
        let text = std::fs::read_to_string(&path).unwrap();
        let manifest: Value = serde_saphyr::from_str(&text).unwrap();
        if manifest["kind"] == "Kustomization" {
            continue;
        }
        let (url, spec) = (manifest["spec"]["url"].as_str().unwrap(), &manifest["spec"]);
        assert!(spec["targetRefs"].is_array() && spec.get("selector").is_none(), "{path:?}");
        let image = url.strip_prefix("oci://registry.example/outrigger/").unwrap();
        let (module, _) = image.split_once(':').unwrap();

        let mut bootstrap = Bootstrap::anywhere("telemetry", &std::env::temp_dir()).unwrap();
        let demo = bootstrap.demo().unwrap();
        let demo = demo.with_plugins(&[Plugin::shipped(module, &spec["pluginConfig"])]).unwrap();
        bootstrap.set_listeners(vec![demo]).unwrap();
        let validation = validate(&bootstrap).unwrap();
        assert!(validation.accepted, "{path:?}: {}", validation.log);
        checked.push(module.to_owned());
    }
    checked.sort();
    assert_eq!(checked, ["authz", "ratelimit", "suite"]);
}
