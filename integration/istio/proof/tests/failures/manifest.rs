//! Plugins that are accepted and reach nobody.

use proof::{Bed, Callees, Fault, Strategy, Watch, until};
use serde_json::{Value, json};

use crate::{limit, with};

#[test]
fn a_plugin_that_matches_nothing_is_accepted_and_nothing_says_so() -> Result<(), Fault> {
    let bed = Bed::connect()?;
    let callees = Callees::new(&bed)?;
    let image = bed.push("ratelimit")?;
    // The third is loaded, for what the callee itself asks of others.
    for (wrong, loaded) in [
        (json!({ "selector": { "matchLabels": { "app": "clsoe" } } }), false),
        (json!({ "match": [{ "mode": "SERVER", "ports": [{ "number": 80 }] }] }), false),
        (json!({ "match": [{ "mode": "CLIENT" }] }), true),
    ] {
        let watch = Watch::start(&callees, Strategy::Close)?;
        callees.apply(Strategy::Close, &with(limit(&image.url), wrong.clone()))?;
        // Istiod had the wrong one in hand when the right one decides.
        callees.apply(Strategy::Open, &limit(&image.url))?;
        callees.settle(Strategy::Open, 429)?;
        callees.settle(Strategy::Close, 200)?;
        let conversions = || watch.grown("istio_agent_wasm_config_conversion_count", "");
        if loaded {
            until("it to be loaded", || match conversions()? {
                0.0 => Err(wrong.to_string()),
                _ => Ok(()),
            })?;
        } else {
            assert_eq!(conversions()?, 0.0, "{wrong}");
        }
        assert!(!watch.log()?.contains("error\twasm"), "{wrong}: {}", watch.log()?);
        let said = bed.run("istioctl", &["analyze", "-n", "failures"], "")?;
        assert!(!said.contains("WasmPlugin"), "{wrong}: {said}");
        callees.remove()?;
        callees.settle(Strategy::Open, 200)?;
    }
    Ok(())
}

#[test]
fn the_manifests_of_the_filters_select_pods_of_the_demo_mesh() -> Result<(), Fault> {
    let bed = Bed::connect()?;
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../istio-manifests/plugins");
    let said = bed.kubectl(&["apply", "--dry-run=server", "-k", folder, "-o", "json"])?;
    let said: Value = serde_json::from_str(&said).map_err(|error| error.to_string())?;
    let plugins = said["items"].as_array().ok_or("no items")?;
    for plugin in plugins {
        let labels = plugin["spec"]["selector"]["matchLabels"].as_object().ok_or("no labels")?;
        let labels = labels
            .iter()
            .map(|(name, value)| format!("{name}={}", value.as_str().unwrap_or_default()));
        let labels = labels.collect::<Vec<_>>().join(",");
        let namespace = plugin["metadata"]["namespace"].as_str().unwrap_or_default();
        let pods =
            bed.run("kubectl", &["-n", namespace, "get", "pods", "-l", &labels, "-o", "name"], "")?;
        assert!(
            !pods.is_empty(),
            "{} in {namespace} selects nobody by {labels}",
            plugin["metadata"]["name"]
        );
    }
    assert_eq!(plugins.len(), 4);
    Ok(())
}
