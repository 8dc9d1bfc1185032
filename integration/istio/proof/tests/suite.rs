//! The suite, one plugin for all four, as either resource.

use proof::{Answer, Bed, as_traffic_extension};
use serde_json::{Value, json};

#[test]
fn the_suite_decides_at_the_gateway_and_at_a_sidecar_by_either_resource() {
    let bed = Bed::connect().unwrap();
    let client = format!("s{}", std::process::id());
    let gateway = bed
        .plugin(
            "suite",
            "gateway",
            json!({
                "phase": "AUTHZ", "failStrategy": "FAIL_CLOSE", "match": [{ "mode": "CLIENT" }],
                "pluginConfig": {
                    "ratelimit": { "rules": [{
                        "name": "per-client", "key": [{ "header": "x-client" }], "missingKey": "skip",
                        "tokenBucket": { "maxTokens": 7, "fillInterval": "36000s" },
                    }] },
                    "canary": { "rollouts": [{
                        "name": "checkout", "header": "x-canary-checkout", "key": [{ "header": "x-user" }],
                        "stable": "v1", "variants": [{ "name": "v2", "weight": 100 }],
                    }] },
                },
            }),
        )
        .unwrap();
    let sidecar = bed
        .plugin(
            "suite",
            "checkout",
            json!({
                "phase": "AUTHZ", "failStrategy": "FAIL_CLOSE", "match": [{ "mode": "SERVER" }],
                "pluginConfig": {
                    "telemetry": { "routes": [{ "path": "/orders/{id}" }] },
                    "authz": { "policies": [{ "name": "closed", "action": "DENY", "rules": [
                        { "to": [{ "operation": { "paths": ["/closed/{**}"] } }] },
                    ] }] },
                },
            }),
        )
        .unwrap();
    // By a name of its own each is told from the one before, which proxies may still have.
    let named = |plugin: &Value, name: &str| {
        let mut plugin = plugin.clone();
        plugin["metadata"]["name"] = json!(format!("outrigger-suite-{name}"));
        plugin
    };

    let image = bed.push("suite").unwrap();
    let forms = [Value::clone, as_traffic_extension];
    for (form, translate) in ["plugin", "extension"].into_iter().zip(forms) {
        let [edge, side] = ["edge", "side"].map(|place| format!("{place}-{form}"));
        let _gateway = bed.apply(&translate(&named(&gateway, &edge))).unwrap();
        let _sidecar = bed.apply(&translate(&named(&sidecar, &side))).unwrap();
        bed.wait_loaded("gateway", &image, &edge).unwrap();
        bed.wait_loaded("checkout", &image, &side).unwrap();
        let refusal = bed.settle("/closed/1", 403).unwrap();
        assert!(refusal.said(&["next", "body"]).to_string().contains("authz"), "{}", refusal.body);

        // Every user is on v2 and goes there by the second hop's route.
        let served = |answer: &Answer| answer.said(&["next", "body", "version"]);
        let answer = bed.get("/orders/1", &[("x-user", "ann")]).unwrap();
        assert_eq!((answer.status, served(&answer)), (200, json!("v2")), "{}", answer.body);
    }
    // The two resources counted in the same buckets: they belong to the rule's name, not to the plugin.
    let _gateway = bed.apply(&named(&gateway, "again")).unwrap();
    bed.wait_loaded("gateway", &image, "outrigger-suite-again").unwrap();
    bed.settle_on("/", &[("x-user", "ann")], |answer| {
        !answer.said(&["headers", "x-canary-checkout"]).is_null()
    })
    .unwrap();
    let statuses: Vec<u16> =
        (0..10).map(|_| bed.get("/", &[("x-client", client.as_str())]).unwrap().status).collect();
    assert_eq!(statuses.iter().filter(|status| **status == 200).count(), 7, "{statuses:?}");
}
