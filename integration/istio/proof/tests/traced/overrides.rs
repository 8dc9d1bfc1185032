//! Istio's own metrics with a tag of ours: what Istio makes of `tagOverrides`, what a stock Envoy says to that, and
//! what it can do instead.

use proof::{Bed, Fault, until};
use serde_json::json;

use crate::mesh::Mesh;

const EXPRESSION: &str = "filter_state['wasm.request_operation']";

/// A stock Envoy reads the expression of a tag override, and counts by it, in a metric of its own access log.
pub(crate) fn have_an_expression_that_stock_envoy_counts_by(mesh: &Mesh<'_>) -> Result<(), Fault> {
    let counted = || -> Result<[f64; 2], Fault> {
        let pay = [("request_operation", "pay"), ("response_code", "200")];
        let route = [("http_route", "/checkout/{**}"), ("outcome", "ok")];
        Ok([
            mesh.sum("payments", "envoy_istio_access_log_requests_total", &pay)?,
            mesh.sum("payments", "http_server_requests_total", &route)?,
        ])
    };
    until("as many in Envoy's metric as in ours", || {
        let before = counted()?;
        for _ in 0..5 {
            mesh.ask("/checkout/1", &[])?;
        }
        let after = counted()?;
        let five = before.map(|count| count + 5.0);
        if after == five { Ok(()) } else { Err(format!("{before:?}, and then {after:?}")) }
    })
}

/// Istio hands them to the proxy as they were written, in a filter that a stock Envoy does not have: it refuses every
/// listener with it, and goes on with those that it has.
pub(crate) fn are_refused_with_every_listener(bed: &Bed, mesh: &Mesh<'_>) -> Result<(), Fault> {
    let place = mesh.place();
    let rejected = || mesh.sum("payments", "envoy_listener_manager_lds_update_rejected", &[]);
    if rejected()? != 0.0 {
        return Err("something was refused already".to_owned());
    }
    let tags = json!({ "request_operation": { "value": EXPRESSION } });
    let _applied = place.apply(&json!({
        "apiVersion": "telemetry.istio.io/v1", "kind": "Telemetry",
        "metadata": { "name": "metrics" },
        "spec": {
            "selector": { "matchLabels": { "app": "payments" } },
            "metrics": [{
                "providers": [{ "name": "prometheus" }],
                "overrides": [{
                    "match": { "metric": "REQUEST_COUNT", "mode": "SERVER" }, "tagOverrides": tags,
                }],
            }],
        },
    }))?;
    until("a listener to be refused", || {
        if rejected()? > 0.0 { Ok(()) } else { Err("none is".to_owned()) }
    })?;
    let log = place.proxy_log("payments")?;
    let why = "virtualInbound: Didn't find a registered implementation for 'istio.stats' \
               with type URL: 'stats.PluginConfig'";
    if !log.contains(why) {
        return Err(format!("it does not say why: {log}"));
    }
    let pod = ["get", "pods", "-l", "app=payments", "-o", "jsonpath={.items[0].metadata.name}"];
    let query = format!("config_dump?proxyID={}.{}", place.kubectl(&pod, "")?, mesh.namespace());
    let sent = bed.run("istioctl", &["x", "internal-debug", &query], "")?;
    if !sent.contains(&format!(r#""request_operation": "{EXPRESSION}""#)) {
        return Err("istiod sends another expression".to_owned());
    }

    let before = mesh.sum("payments", "http_server_requests_total", &[])?;
    let answer = mesh.ask("/checkout/1", &[])?;
    let counted = mesh.sum("payments", "http_server_requests_total", &[])? - before;
    let istios = place.scrape("payments", "istio_requests_total")?;
    if answer.status == 200 && counted == 1.0 && istios.is_empty() {
        Ok(())
    } else {
        Err(format!("{} {}, {counted} counted, {istios:?}", answer.status, answer.body))
    }
}
