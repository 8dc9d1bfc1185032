//! Every `pluginConfig` in `istio-manifests/` is one that its module takes, as Istio would hand it over.

use integration::{Bootstrap, Plugin, validate, workspace};
use serde_json::Value;

#[test]
fn every_plugin_configuration_is_accepted() {
    let folder = workspace::root().join("istio-manifests/plugins");
    let mut checked = Vec::new();
    for name in ["authz", "canary", "ratelimit", "suite", "telemetry"] {
        let text = std::fs::read_to_string(folder.join(format!("{name}.yaml"))).unwrap();
        let manifest: Value = serde_saphyr::from_str(&text).unwrap();
        assert_eq!(manifest.pointer("/kind").unwrap(), "WasmPlugin");
        let url = manifest.pointer("/spec/url").unwrap().as_str().unwrap();
        assert!(url.contains(&format!("/outrigger/{name}:")), "{url}");
        let configuration = manifest.pointer("/spec/pluginConfig").unwrap();

        let mut bootstrap = Bootstrap::anywhere("telemetry", &std::env::temp_dir()).unwrap();
        let demo = bootstrap.demo().unwrap();
        let demo = demo.with_plugins(&[Plugin::shipped(name, configuration)]).unwrap();
        bootstrap.set_listeners(vec![demo]).unwrap();
        let validation = validate(&bootstrap).unwrap();
        assert!(validation.accepted, "{name}: {}", validation.log);
        checked.push(format!("{name}.yaml"));
    }
    let entries = std::fs::read_dir(folder).unwrap();
    let mut files: Vec<_> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    files.retain(|file| file != "kustomization.yaml");
    files.sort();
    assert_eq!(files, checked, "a manifest that nobody checks");
}
