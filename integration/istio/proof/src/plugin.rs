//! The two resources that put a plugin into a mesh.

use serde_json::{Map, Value, json};

/// What a TrafficExtension (Istio 1.30 and later) has on its own level; the rest of a WasmPlugin's `spec` is its `wasm`.
const SHARED: [&str; 5] = ["selector", "targetRefs", "phase", "priority", "match"];

/// The same plugin as a TrafficExtension.
#[must_use]
pub fn as_traffic_extension(plugin: &Value) -> Value {
    let (mut spec, mut wasm) = (Map::new(), Map::new());
    for (name, value) in plugin.get("spec").and_then(Value::as_object).into_iter().flatten() {
        let place = if SHARED.contains(&name.as_str()) { &mut spec } else { &mut wasm };
        place.insert(name.clone(), value.clone());
    }
    spec.insert("wasm".to_owned(), wasm.into());
    json!({
        "apiVersion": "extensions.istio.io/v1alpha1",
        "kind": "TrafficExtension",
        "metadata": plugin.get("metadata"),
        "spec": spec,
    })
}
