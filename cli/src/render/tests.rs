//! What is rendered, and that the files of this repository say the same.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::*;

fn rendered(form: Form, sources: &[(FilterName, &str)]) -> String {
    let mut needs = Needs::default();
    for (filter, text) in sources {
        needs.add(*filter, Path::new("a.json"), text.as_bytes()).unwrap();
    }
    needs.render(form)
}

const TIMED: &str = r#"{"duration": {}, "labels": {"errorType": true}, "maxSeries": 100}"#;

#[test]
fn a_bootstrap_gets_tags_and_buckets() {
    let text = rendered(Form::Bootstrap, &[(FilterName::Telemetry, TIMED)]);
    let document: Value = serde_saphyr::from_str(&text).unwrap();
    let tags = document["stats_config"]["stats_tags"].as_array().unwrap();
    let names: Vec<&str> = tags.iter().map(|tag| tag["tag_name"].as_str().unwrap()).collect();
    let expected = ["http_route", "http_request_method", "outcome", "error_type", "label"];
    assert_eq!(names, expected);
    assert_eq!(
        document["stats_config"]["histogram_bucket_settings"],
        json!([{
            "match": {"prefix": "wasmcustom.http_server_request_duration_milliseconds"},
            "buckets": [5, 10, 25, 50, 75, 100, 250, 500, 750, 1000, 2500, 5000, 7500, 10000],
        }])
    );
}

#[test]
fn several_plugins_share_a_bootstrap() {
    let canary = r#"{"rollouts": []}"#;
    let sources = [(FilterName::Telemetry, "{}"), (FilterName::Telemetry, TIMED)];
    let text = rendered(Form::Bootstrap, &sources);
    assert_eq!(text.matches("tag_name: outcome").count(), 1, "{text}");
    let refused = Needs::default().add(FilterName::Canary, Path::new("a.json"), canary.as_bytes());
    assert!(refused.unwrap_err().starts_with("canary: configuration refused at"));
}

#[test]
fn a_pod_gets_annotations() {
    let text = rendered(Form::Istio, &[(FilterName::Telemetry, TIMED)]);
    let document: Value = serde_saphyr::from_str(&text).unwrap();
    let annotations = &document["metadata"]["annotations"];
    let config = annotations["proxy.istio.io/config"].as_str().unwrap();
    let config: Value = serde_saphyr::from_str(config).unwrap();
    assert_eq!(config["extraStatTags"][3], "error_type");
    let buckets = annotations["sidecar.istio.io/statsHistogramBuckets"].as_str().unwrap();
    let buckets: BTreeMap<String, Vec<u64>> = serde_json::from_str(buckets).unwrap();
    assert_eq!(buckets["wasmcustom.http_server_request_duration_milliseconds"].len(), 14);
}

/// Every label that a configuration of a file's plugins has, and that its bootstrap must cut out.
#[test]
fn the_configurations_of_envoy_are_what_is_rendered() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../envoy-configs");
    let mut checked = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "yaml") {
            continue;
        }
        let text = std::fs::read_to_string(&path).unwrap();
        let document: Value = serde_saphyr::from_str(&text).unwrap();
        let mut needs = Needs::default();
        for (filter, text) in plugins(&document) {
            needs.add(filter, Path::new("a.json"), text.as_bytes()).unwrap();
            checked += 1;
        }
        let rendered: Value = serde_saphyr::from_str(&needs.render(Form::Bootstrap)).unwrap();
        for section in ["stats_tags", "histogram_bucket_settings"] {
            let found = document["stats_config"][section].as_array().cloned().unwrap_or_default();
            let wanted = rendered["stats_config"][section].as_array().cloned().unwrap_or_default();
            for each in &wanted {
                assert!(found.contains(each), "{}: no {each}", path.display());
            }
        }
    }
    assert!(checked >= 23, "{checked}");
}

/// The plugins of a bootstrap: which filters, and how they are configured.
fn plugins(document: &Value) -> Vec<(FilterName, String)> {
    match document {
        Value::Object(members) => {
            let configuration = members.get("config").and_then(|config| {
                let text = config.pointer("/configuration/value")?.as_str()?;
                let module = config.pointer("/vm_config/code/local/filename")?.as_str()?;
                let name = Path::new(module).file_stem()?.to_str()?;
                Some((FilterName::parse(name).ok()?, text.to_owned()))
            });
            let inner = members.values().flat_map(plugins);
            configuration.into_iter().chain(inner).collect()
        }
        Value::Array(items) => items.iter().flat_map(plugins).collect(),
        _ => Vec::new(),
    }
}

/// Istio looks for a label anywhere in a name, so that none may be the end of another.
#[test]
fn istio_can_tell_all_labels_apart() {
    let path =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../istio-manifests/telemetry/istio.yaml");
    let text = std::fs::read_to_string(path).unwrap();
    let document: Value = serde_saphyr::from_str(&text).unwrap();
    let tags = &document["spec"]["meshConfig"]["defaultConfig"]["extraStatTags"];
    let tags: Vec<&str> =
        tags.as_array().unwrap().iter().map(|tag| tag.as_str().unwrap()).collect();
    for one in &tags {
        let ending = tags.iter().find(|other| *other != one && other.ends_with(one));
        assert_eq!(ending, None, "it would be cut out by `{one}`");
    }
    let everything = r#"{"heuristic": {"maxRoutes": 1}, "slo": {}, "maxSeries": 1, "labels": {
        "statusClass": true, "statusCodes": [200], "errorType": true, "protocol": true,
        "tenant": {"header": "a", "groups": 2}, "callerWorkload": {"max": 1},
        "canaryVariant": {"rollout": "a", "max": 1}, "upstreamRevision": {"max": 1}}}"#;
    let mut needs = Needs::default();
    needs.add(FilterName::Telemetry, Path::new("a.json"), everything.as_bytes()).unwrap();
    for label in needs.labels {
        assert!(tags.contains(&label), "no `{label}` among {tags:?}");
    }
}
