//! Every `pluginConfig` in `istio-manifests/` is one that its module takes, as Istio would hand it over; and what is
//! there in several forms, for older and newer Istio, for sidecars and gateways, says the same in all of them.

use integration::{Bootstrap, Plugin, validate, workspace};
use serde_json::{Map, Value, json};

const FILTERS: [&str; 5] = ["authz", "canary", "ratelimit", "suite", "telemetry"];

fn manifest(folder: &str, filter: &str) -> Result<Value, String> {
    let file = workspace::root().join(format!("istio-manifests/{folder}/{filter}.yaml"));
    let text = std::fs::read_to_string(file).map_err(|error| format!("{filter}: {error}"))?;
    serde_saphyr::from_str(&text).map_err(|error| format!("{filter}: {error}"))
}

/// Puts a value where there is one.
fn put(manifest: &mut Value, pointer: &str, value: Value) -> Result<(), String> {
    *manifest.pointer_mut(pointer).ok_or_else(|| format!("nothing at {pointer}"))? = value;
    Ok(())
}

/// A WasmPlugin as the TrafficExtension that means the same.
fn as_extension(mut plugin: Value) -> Result<Value, String> {
    put(&mut plugin, "/kind", json!("TrafficExtension"))?;
    if plugin.pointer("/spec/phase") == Some(&json!("UNSPECIFIED_PHASE")) {
        put(&mut plugin, "/spec/phase", json!("UNSPECIFIED"))?;
    }
    let spec = plugin.pointer_mut("/spec").and_then(Value::as_object_mut).ok_or("no spec")?;
    let mut wasm = Map::new();
    for field in ["url", "failStrategy", "pluginConfig"] {
        let value = spec.remove(field).ok_or_else(|| format!("no {field}"))?;
        wasm.insert(field.to_owned(), value);
    }
    spec.insert("wasm".to_owned(), wasm.into());
    Ok(plugin)
}

/// A plugin for a sidecar as one for the demo's gateway: what `gateway/component` makes of it.
fn at_gateway(mut plugin: Value) -> Result<Value, String> {
    let name = plugin.pointer("/metadata/name").and_then(Value::as_str).ok_or("no name")?;
    let name = json!(format!("{name}-gateway"));
    put(&mut plugin, "/metadata/name", name)?;
    put(&mut plugin, "/spec/selector/matchLabels", json!({ "istio": "gateway" }))?;
    put(&mut plugin, "/spec/match", json!([{ "mode": "CLIENT" }]))?;
    Ok(plugin)
}

#[test]
fn every_plugin_configuration_is_accepted() {
    for name in FILTERS {
        let manifest = manifest("plugins", name).unwrap();
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
    }
}

#[test]
fn a_traffic_extension_says_what_the_wasm_plugin_says() {
    for name in FILTERS {
        let plugin = manifest("plugins", name).unwrap();
        assert_eq!(manifest("extensions", name), as_extension(plugin), "{name}");
    }
}

#[test]
fn the_suite_on_a_gateway_is_the_suite_on_a_sidecar() {
    for folder in ["plugins", "extensions"] {
        let sidecar = manifest(folder, "suite").unwrap();
        assert_eq!(
            manifest(&format!("gateway/{folder}"), "suite"),
            at_gateway(sidecar),
            "{folder}"
        );
    }
}

#[test]
fn no_manifest_of_a_plugin_goes_unchecked() {
    let every = FILTERS.map(|name| format!("{name}.yaml"));
    for (folder, checked) in [
        ("plugins", every.as_slice()),
        ("extensions", every.as_slice()),
        ("gateway/plugins", &["suite.yaml".to_owned()]),
        ("gateway/extensions", &["suite.yaml".to_owned()]),
    ] {
        let entries = std::fs::read_dir(workspace::root().join("istio-manifests").join(folder));
        let mut files: Vec<_> = entries
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .filter(|file| file != "kustomization.yaml")
            .collect();
        files.sort();
        assert_eq!(files, checked, "{folder}: a manifest that nobody checks");
    }
}
