//! What `istio-manifests/` ships is what the API server, Istio's validation, its analysers and kubeconform take, and does
//! what it says when it is applied with modules in the place of its placeholders.

use std::time::{SystemTime, UNIX_EPOCH};

use cases::Token;
use proof::{Answer, Applied, Bed, Fault, Shipped, until};
use serde_json::{Value, json};

fn every(bed: &Bed) -> Result<Vec<Shipped>, Fault> {
    let all = bed.everything_shipped()?;
    for known in [
        "mesh",
        "plugins",
        "plugins/suite.yaml",
        "gateway/extensions",
        "overlays/example",
        "flagger",
        "argo-rollouts",
    ] {
        if !all.iter().any(|shipped| shipped.name == known) {
            return Err(format!("{known} was not found"));
        }
    }
    Ok(all)
}

#[test]
fn the_api_server_and_istios_webhook_take_everything() {
    let bed = Bed::connect().unwrap();
    let apply = |text: &str| bed.run("kubectl", &["apply", "--dry-run=server", "-f", "-"], text);
    for shipped in every(&bed).unwrap() {
        apply(&shipped.text).unwrap_or_else(|fault| panic!("{}: {fault}", shipped.name));
    }
    let plugin = bed.shipped("extensions/suite.yaml").unwrap().text;
    let misspelt = apply(&plugin.replace("failStrategy", "failStrategie")).unwrap_err();
    assert!(misspelt.contains("unknown field"), "{misspelt}");
    let foreign = apply(&plugin.replace("oci://", "ftp://")).unwrap_err();
    assert!(foreign.contains("denied the request") || foreign.contains("is invalid"), "{foreign}");
}

#[test]
fn istios_analysers_find_nothing() {
    let bed = Bed::connect().unwrap();
    let analyze = |text: &str| bed.run("istioctl", &["analyze", "-n", "demo", "-"], text);
    for shipped in every(&bed).unwrap() {
        analyze(&shipped.text).unwrap_or_else(|fault| panic!("{}: {fault}", shipped.name));
    }
    let mesh = bed.shipped("mesh").unwrap().text;
    let nowhere = analyze(&mesh.replace("host: frontend", "host: backend")).unwrap_err();
    assert!(nowhere.contains("IST0101"), "{nowhere}");
}

#[test]
fn kubeconform_agrees_by_the_schemas_of_this_api_server() {
    let bed = Bed::connect().unwrap();
    let schemas = bed.schemas().unwrap();
    for shipped in every(&bed).unwrap() {
        bed.conform(&schemas, &shipped.text)
            .unwrap_or_else(|fault| panic!("{}: {fault}", shipped.name));
    }
    for (name, right, wrong) in [
        ("plugins/suite.yaml", "failStrategy", "failStrategie"),
        ("extensions/suite.yaml", "FAIL_CLOSE", "FAIL_CLOSED"),
        ("mesh", "containerPort", "containerPorts"),
        ("flagger", "stepWeights", "stepsWeights"),
        ("flagger", "thresholdRange", "thresholdRanges"),
        ("argo-rollouts", "setWeight", "setWeights"),
        ("argo-rollouts", "successCondition", "successConditions"),
        ("observability", "expr:", "expression:"),
        ("mesh", "kind: PeerAuthentication", "kind: PeerAuthorization"),
    ] {
        let text = bed.shipped(name).unwrap().text;
        assert!(text.contains(right));
        let judged = bed.conform(&schemas, &text.replace(right, wrong));
        assert!(judged.is_err(), "{name}: kubeconform takes {wrong}");
    }
}

fn token(groups: &str) -> Result<String, Fault> {
    let claims =
        json!({ "iss": "https://demo.example", "aud": "demo", "sub": "ann", "groups": [groups] });
    let token = json!({ "key": "rs256", "claims": claims });
    let token: Token = serde_json::from_value(token).map_err(|error| error.to_string())?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_err(|error| error.to_string())?;
    Ok(format!("Bearer {}", token.mint(now.as_secs())?))
}

/// Asks until the answer is as wanted twenty times in a row: by then no connection is older than the plugins.
fn settle(bed: &Bed, token: &str, wanted: impl Fn(&Answer) -> bool) -> Result<(), Fault> {
    until("the same right answer on every connection", || {
        for _ in 0..20 {
            let mut headers = vec![("x-user", "ann")];
            headers.extend((!token.is_empty()).then_some(("authorization", token)));
            let answer = bed.get("/checkout/1", &headers)?;
            if !wanted(&answer) {
                return Err(format!("{} {}", answer.status, answer.body));
            }
        }
        Ok(())
    })
}

/// Applies a form, and waits until the proxies of an application run every plugin of it under the name that istiod gives to
/// this form: what the form before it left cannot pass for it.
fn install<'a>(bed: &'a Bed, form: &str, apps: &[&str]) -> Result<Applied<'a>, Fault> {
    let list = bed.filled_in(&bed.shipped(form)?)?;
    let applied = bed.apply(&list)?;
    let text = |object: &Value, pointer| {
        object.pointer(pointer).and_then(Value::as_str).map(str::to_owned)
    };
    let wanted: Vec<String> = list
        .pointer("/items")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(|object| {
            let translated = text(object, "/kind")? == "WasmPlugin";
            let suffix = if translated { "~istio-translated-wasmplugin" } else { "" };
            Some(format!("trafficextension/demo.{}{suffix} ", text(object, "/metadata/name")?))
        })
        .collect();
    let pods: Vec<String> =
        apps.iter().map(|app| bed.pods(app)).collect::<Result<Vec<_>, _>>()?.concat();
    until(&format!("all of {form} in {pods:?}"), || {
        let mut loaded = String::new();
        for pod in &pods {
            loaded += &bed.run("istioctl", &["-n", "demo", "proxy-config", "ecds", pod], "")?;
        }
        let runs = |name: &&String| {
            loaded.lines().any(|line| line.contains(name.as_str()) && line.ends_with(".Wasm"))
        };
        let missing: Vec<&String> = wanted.iter().filter(|name| !runs(name)).collect();
        if missing.is_empty() { Ok(()) } else { Err(format!("{missing:?} of {loaded}")) }
    })?;
    Ok(applied)
}

const CHECKOUT: [&str; 2] = ["next", "body"];

#[test]
fn the_four_decide_on_a_sidecar_in_either_form() {
    let bed = Bed::connect().unwrap();
    for form in ["plugins", "extensions"] {
        let _applied = install(&bed, form, &["frontend", "checkout"]).unwrap();
        settle(&bed, "", |answer| answer.said(&CHECKOUT) == "authz: unauthenticated").unwrap();
        let version = [CHECKOUT.as_slice(), &["headers", "x-canary-checkout"]].concat();
        settle(&bed, &token("buyers").unwrap(), |answer| {
            answer.status == 200 && answer.said(&version).is_string()
        })
        .unwrap();
        let seen = bed.scrape("checkout", "http_server_requests_total").unwrap();
        assert!(seen.iter().any(|series| series.label("http_route") == "/checkout/{order}"));
    }
}

#[test]
fn the_four_decide_on_a_gateway_in_either_form() {
    let bed = Bed::connect().unwrap();
    for form in ["gateway/plugins", "gateway/extensions"] {
        let _applied = install(&bed, form, &["gateway"]).unwrap();
        settle(&bed, "", |answer| answer.body == "authz: unauthenticated").unwrap();
        settle(&bed, &token("buyers").unwrap(), |answer| {
            answer.status == 200 && answer.said(&["headers", "x-canary-checkout"]).is_string()
        })
        .unwrap();
        let seen = bed.scrape("gateway", "http_server_requests_total").unwrap();
        assert!(seen.iter().any(|series| series.label("http_route") == "/checkout/{order}"));
    }
}

#[test]
fn the_suite_counts_limits_and_allows_in_every_form() {
    let bed = Bed::connect().unwrap();
    for (app, form) in [
        ("checkout", "plugins/suite.yaml"),
        ("checkout", "extensions/suite.yaml"),
        ("gateway", "gateway/plugins/suite.yaml"),
        ("gateway", "gateway/extensions/suite.yaml"),
    ] {
        let _applied = install(&bed, form, &[app]).unwrap();
        until(form, || {
            bed.get("/checkout/1", &[])?;
            for name in [
                "outrigger_authz_decisions_total",
                "outrigger_ratelimit_decisions_total",
                "http_server_requests_total",
            ] {
                let all = bed.scrape(app, name)?;
                if all.iter().all(|series| series.value == 0.0) {
                    return Err(format!("nothing in {name}"));
                }
            }
            Ok(())
        })
        .unwrap();
    }
}

#[test]
fn an_overlay_brings_an_own_policy_and_a_pull_secret() {
    let bed = Bed::connect().unwrap();
    let secret = json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": { "name": "registry-example", "namespace": "demo" },
        "type": "kubernetes.io/dockerconfigjson",
        "stringData": { ".dockerconfigjson": r#"{"auths":{"registry.example":{"username":"mesh","password":"secret"}}}"# },
    });
    let _secret = bed.apply(&secret).unwrap();
    let _applied = install(&bed, "overlays/example", &["frontend", "checkout"]).unwrap();
    settle(&bed, &token("visitors").unwrap(), |answer| {
        answer.said(&CHECKOUT) == "authz: not_allowed"
    })
    .unwrap();
    settle(&bed, &token("buyers").unwrap(), |answer| answer.status == 200).unwrap();
}
