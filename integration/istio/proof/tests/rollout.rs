//! What happens to requests while plugins are changed under them.

use std::collections::BTreeMap;

use proof::{Bed, under_load};
use serde_json::json;

#[test]
fn new_versions_and_configurations_roll_out_without_a_failed_request() {
    let bed = Bed::connect().unwrap();
    let mut plugin = bed
        .plugin(
            "suite",
            "checkout",
            json!({
                "phase": "AUTHZ", "failStrategy": "FAIL_CLOSE", "match": [{ "mode": "SERVER" }],
                "pluginConfig": {
                    "telemetry": { "routes": [{ "path": "/first" }] },
                    "authz": { "policies": [{ "name": "closed", "action": "DENY", "rules": [
                        { "to": [{ "operation": { "paths": ["/closed"] } }] },
                    ] }] },
                },
            }),
        )
        .unwrap();
    let first = bed.push("suite").unwrap();
    let _applied = bed.apply(&plugin).unwrap();
    bed.wait_loaded("checkout", &first, "/first").unwrap();
    bed.settle("/closed", 403).unwrap();

    let ((), answers) = under_load(&bed.gateway().unwrap(), "/rollout", &[], |answers| {
        answers.wait_for_more("200", 50).unwrap();
        for version in ["0.1.1", "0.1.2"] {
            let image = bed.push_version("suite", version).unwrap();
            plugin["spec"]["url"] = json!(image.url);
            bed.replace(&plugin).unwrap();
            bed.wait_loaded("checkout", &image, "/first").unwrap();
            answers.wait_for_more("200", 50).unwrap();
        }
        let last = bed.push_version("suite", "0.1.2").unwrap();
        plugin["spec"]["pluginConfig"]["telemetry"]["routes"][0]["path"] = json!("/second");
        bed.replace(&plugin).unwrap();
        bed.wait_loaded("checkout", &last, "/second").unwrap();
        answers.wait_for_more("200", 50).unwrap();
    });
    assert_eq!(answers.keys().collect::<Vec<_>>(), ["200"], "{answers:?}");
    assert_eq!(bed.get("/closed", &[]).unwrap().status, 403);
}

#[test]
fn a_limit_holds_over_a_new_configuration_and_a_new_version_under_load() {
    const LIMIT: usize = 2_000;
    let bed = Bed::connect().unwrap();
    let rule = |name: &str, limit: usize, key: &str| {
        json!({ "name": name, "key": [{ "header": key }], "missingKey": "skip",
                "tokenBucket": { "maxTokens": limit, "fillInterval": "3600s" } })
    };
    let mut plugin = bed
        .plugin(
            "ratelimit",
            "gateway",
            json!({
                "phase": "AUTHZ", "failStrategy": "FAIL_RELOAD", "match": [{ "mode": "CLIENT" }],
                "pluginConfig": { "rules": [rule("per-client", LIMIT, "x-client"), rule("probe", 1, "x-probe")] },
            }),
        )
        .unwrap();
    let first = bed.push("ratelimit").unwrap();
    let _applied = bed.apply(&plugin).unwrap();
    bed.wait_loaded("gateway", &first, "per-client").unwrap();
    // Buckets outlive the plugin, so a bed that is used again needs clients that it has not seen.
    let client = format!("c{}", std::process::id());
    bed.settle_on("/", &[("x-probe", &client)], |answer| answer.status == 429).unwrap();

    let ((), answers) =
        under_load(&bed.gateway().unwrap(), "/", &[("x-client", &client)], |answers| {
            answers.wait_for_more("200", 50).unwrap();
            // From here on it does not matter when the bucket is empty: not one more may come, before or after.
            let added = rule("added", 1, "x-added");
            plugin["spec"]["pluginConfig"]["rules"].as_array_mut().unwrap().push(added);
            bed.replace(&plugin).unwrap();
            bed.wait_loaded("gateway", &first, "added").unwrap();
            let image = bed.push_version("ratelimit", "0.1.1").unwrap();
            plugin["spec"]["url"] = json!(image.url);
            bed.replace(&plugin).unwrap();
            bed.wait_loaded("gateway", &image, "added").unwrap();
            answers.wait_for_more("429", 500).unwrap();
        });
    let answers: BTreeMap<&str, usize> =
        answers.iter().map(|(answer, count)| (answer.as_str(), *count)).collect();
    assert_eq!(answers.keys().collect::<Vec<_>>(), [&"200", &"429"], "{answers:?}");
    assert_eq!(answers.get("200"), Some(&LIMIT), "{answers:?}");
}
