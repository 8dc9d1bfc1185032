//! Who asks, in a waypoint and in a sidecar that takes HBONE: mutual TLS ends in a listener before the plugin's.

use proof::{Bed, under_load};
use serde_json::{Value, json};

use crate::mesh::{Mesh, fresh};

#[test]
fn a_plugin_on_a_waypoint_knows_who_asks() {
    let bed = Bed::connect().unwrap();
    let mesh = Mesh::up(&bed).unwrap();
    let mut plugin = mesh.manifest("waypoint.yaml").unwrap();
    let image = bed.push("suite").unwrap();
    plugin["spec"]["url"] = json!(image.url);
    let configured = |account: &str| {
        let from = json!([{ "source": { "serviceAccounts": [format!("targets/{account}")] } }]);
        let key = json!([{ "principal": {} }]);
        let bucket = json!({ "maxTokens": 1_000_000, "fillInterval": "1s" });
        json!({
            "authz": { "policies": [{ "name": account, "rules": [{ "from": from }] }] },
            "ratelimit": { "rules": [{ "name": "each", "key": key, "missingKey": "deny", "tokenBucket": bucket }] },
        })
    };
    plugin["spec"]["pluginConfig"] = configured("stranger");
    let _applied = mesh.place.apply(&plugin).unwrap();
    let refusal = mesh.settle("/orders", 403).unwrap();
    assert!(refusal.body.contains("authz: not_allowed"), "{}", refusal.body);
    plugin["spec"]["pluginConfig"] = configured("edge-istio");
    mesh.place.replace(&plugin).unwrap();
    mesh.settle("/orders", 200).unwrap();
}

#[test]
fn each_caller_has_a_limit_of_its_own_over_a_new_configuration_and_a_new_version_under_load() {
    const LIMIT: usize = 500;
    let bed = Bed::connect().unwrap();
    let mesh = Mesh::up(&bed).unwrap();
    // The waypoint comes by HBONE, the other by mutual TLS.
    let _let_in = mesh
        .place
        .apply(&json!({
            "apiVersion": "security.istio.io/v1", "kind": "AuthorizationPolicy",
            "metadata": { "name": "the-caller-too" },
            "spec": {
                "selector": { "matchLabels": { "behind": "waypoint" } },
                "rules": [{ "from": [{ "source": { "principals": ["cluster.local/ns/targets/sa/caller"] } }] }],
            },
        }))
        .unwrap();
    let rule = |name: &str, paths: [&str; 2], limit: usize| {
        json!({ "name": name, "match": { "paths": paths }, "key": [{ "principal": {} }], "missingKey": "deny",
                "tokenBucket": { "maxTokens": limit, "fillInterval": "3600s" } })
    };
    let each = rule(&fresh("each"), ["/orders/limited", "/caller/limited"], LIMIT);
    let probe = rule(&fresh("probe"), ["/orders/probe", "/caller/probe"], 1);
    let mut plugin = mesh.manifest("waypoint.yaml").unwrap();
    plugin["spec"]["targetRefs"] = Value::Null;
    plugin["spec"]["selector"] = json!({ "matchLabels": { "app": "orders" } });
    plugin["spec"]["pluginConfig"] = json!({ "rules": [each, probe] });
    let _applied = mesh.place.apply(&plugin).unwrap();
    // A new pod, as nobody has a connection to it that is older than the plugin.
    mesh.renew("orders").unwrap();
    for path in ["/orders/probe", "/caller/probe"] {
        mesh.settle(path, 429).unwrap();
    }

    let ((), answers) = under_load(&mesh.edge, "/orders/limited", &[], |answers| {
        answers.wait_for_more("200", 20).unwrap();
        let added = rule("added", ["/orders/added", "/caller/added"], 1);
        plugin["spec"]["pluginConfig"]["rules"].as_array_mut().unwrap().push(added);
        mesh.place.replace(&plugin).unwrap();
        mesh.settle("/orders/added", 429).unwrap();
        plugin["spec"]["url"] = json!(bed.push_version("ratelimit", "0.1.1").unwrap().url);
        let last = rule("last", ["/orders/last", "/caller/last"], 1);
        plugin["spec"]["pluginConfig"]["rules"].as_array_mut().unwrap().push(last);
        mesh.place.replace(&plugin).unwrap();
        mesh.settle("/orders/last", 429).unwrap();
        answers.wait_for_more("429", 200).unwrap();
    });
    assert_eq!(answers.keys().collect::<Vec<_>>(), ["200", "429"], "{answers:?}");
    assert_eq!(answers.get("200"), Some(&LIMIT), "{answers:?}");
    let others = (0..LIMIT + 20).map(|_| mesh.ask("/caller/limited", &[]).unwrap().status);
    assert_eq!(others.filter(|status| *status == 200).count(), LIMIT);
}
