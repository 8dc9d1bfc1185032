//! What Prometheus gets of the filters' decisions, with istio-manifests/telemetry: from the agent's merged endpoint, under
//! labels, and adding up to what was asked.

use proof::{Bed, Fault, Series, until};
use serde_json::{Value, json};

/// What was counted so far, in all pods of checkout, under these labels.
fn counted(bed: &Bed, name: &str, labels: &[(&str, &str)]) -> Result<f64, Fault> {
    let all = bed.scrape("checkout", name)?;
    let under =
        |series: &&Series| labels.iter().all(|(label, value)| series.label(label) == *value);
    Ok(all.iter().filter(under).map(|series| series.value).sum())
}

const DECISIONS: &str = "outrigger_authz_decisions_total";
const REQUESTS: &str = "http_server_requests_total";
const DENIED: [(&str, &str); 2] = [("rule", "frozen:0"), ("reason", "denied")];
const ALLOWED: [(&str, &str); 2] = [("rule", "none"), ("reason", "allowed")];

fn counts(bed: &Bed) -> Result<[f64; 6], Fault> {
    let route = |outcome| {
        [("http_route", "/orders/{id}"), ("http_request_method", "GET"), ("outcome", outcome)]
    };
    Ok([
        counted(bed, DECISIONS, &DENIED)?,
        counted(bed, DECISIONS, &ALLOWED)?,
        counted(bed, DECISIONS, &[])?,
        counted(bed, REQUESTS, &route("client_error"))?,
        counted(bed, REQUESTS, &route("ok"))?,
        counted(bed, REQUESTS, &[])?,
    ])
}

fn plugins(bed: &Bed) -> Result<[Value; 2], Fault> {
    Ok([
        bed.plugin(
            "telemetry",
            "checkout",
            json!({
                "phase": "AUTHN", "failStrategy": "FAIL_OPEN", "match": [{ "mode": "SERVER" }],
                "pluginConfig": { "routes": [{ "path": "/orders/{id}" }] },
            }),
        )?,
        bed.plugin(
            "authz",
            "checkout",
            json!({
                "phase": "AUTHZ", "failStrategy": "FAIL_CLOSE", "match": [{ "mode": "SERVER" }],
                "pluginConfig": { "policies": [{
                    "name": "frozen", "action": "DENY",
                    "rules": [{ "to": [{ "operation": { "paths": ["/orders/frozen"] } }] }],
                }] },
            }),
        )?,
    ])
}

#[test]
fn what_the_agent_serves_carries_the_labels_and_adds_up_to_what_was_asked() {
    let bed = Bed::connect().unwrap();
    let [telemetry, authz] = plugins(&bed).unwrap();
    let _telemetry = bed.apply(&telemetry).unwrap();
    let _authz = bed.apply(&authz).unwrap();
    // Connections that are older than the plugins go past them until they are drained.
    until("403 and a count on every connection", || {
        let before = counts(&bed)?;
        for _ in 0..20 {
            bed.get("/orders/frozen", &[])?;
        }
        let after = counts(&bed)?;
        let counted = [0, 3].map(|index: usize| after[index] - before[index]);
        if counted == [20.0, 20.0] { Ok(()) } else { Err(format!("{counted:?} of 20")) }
    })
    .unwrap();

    let before = counts(&bed).unwrap();
    for _ in 0..7 {
        assert_eq!(bed.get("/orders/frozen", &[]).unwrap().status, 403);
    }
    for order in 0..11 {
        assert_eq!(bed.get(&format!("/orders/{order}"), &[]).unwrap().status, 200);
    }
    until("7 refused, 11 served, and no more", || {
        let after = counts(&bed)?;
        let added: Vec<f64> =
            before.iter().zip(after).map(|(before, after)| after - before).collect();
        if added == [7.0, 11.0, 18.0, 7.0, 11.0, 18.0] { Ok(()) } else { Err(format!("{added:?}")) }
    })
    .unwrap();
}

/// A figure that Envoy keeps of how the plugin's configuration came, summed over the pods of checkout.
fn discovered(bed: &Bed, figure: &str) -> Result<f64, Fault> {
    let name = format!(
        "envoy_extension_config_discovery_http_filter_extensions_istio_io_trafficextension_demo_\
         outrigger_telemetry_istio_translated_wasmplugin_{figure}"
    );
    Ok(bed.scrape("checkout", &name)?.iter().map(|series| series.value).sum())
}

/// Waits until a figure has grown beyond what it was.
fn grown(bed: &Bed, figure: &str, before: f64) -> Result<(), Fault> {
    until(figure, || {
        let now = discovered(bed, figure)?;
        if now > before { Ok(()) } else { Err(format!("{before} before, {now} now")) }
    })
}

#[test]
fn a_configuration_that_proxies_refuse_is_seen_in_the_metrics_and_the_last_one_decides_on() {
    let bed = Bed::connect().unwrap();
    let [good, _] = plugins(&bed).unwrap();
    let mut wrong = good.clone();
    wrong["spec"]["pluginConfig"] = json!({ "routes": [] });
    let _applied = bed.apply(&good).unwrap();
    let route = [("http_route", "/orders/{id}")];
    until("the route to be counted", || {
        bed.get("/orders/1", &[])?;
        let seen = counted(&bed, REQUESTS, &route)?;
        if seen > 0.0 { Ok(()) } else { Err("nothing".to_owned()) }
    })
    .unwrap();

    let [rejected, taken] =
        ["update_rejected", "update_success"].map(|figure| discovered(&bed, figure).unwrap());
    let _wrong = bed.apply(&wrong).unwrap();
    grown(&bed, "update_rejected", rejected).unwrap();
    let before = counted(&bed, REQUESTS, &route).unwrap();
    // A connection that is older than the plugin may carry one more request past it, so one request is not enough.
    until("more to be counted", || {
        let status = bed.get("/orders/1", &[])?.status;
        let added = counted(&bed, REQUESTS, &route)? - before;
        let goes_on = status == 200 && added >= 1.0;
        if goes_on { Ok(()) } else { Err(format!("{status}, and {added} more")) }
    })
    .unwrap();
    // Rolled back before it is removed: a proxy may keep a VM that refused a configuration for a while, and what comes
    // next with the same module then fails with it.
    let _good = bed.apply(&good).unwrap();
    grown(&bed, "update_success", taken).unwrap();
}
