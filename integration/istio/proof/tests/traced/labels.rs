//! Labels and buckets of telemetry's metrics, on the agent's merged endpoint, in a pod whose annotations are what
//! `outrigger render --istio` writes of its plugin.

use std::collections::BTreeSet;

use proof::{Bed, Fault, until};

use crate::mesh::Mesh;

const RENDERED: &str = include_str!("../../../traced/rendered.yaml");
const REQUESTS: &str = "http_server_requests_total";
const DURATION: &str = "http_server_request_duration_milliseconds";
const BUCKETS: [&str; 15] = [
    "5", "10", "25", "50", "75", "100", "250", "500", "750", "1000", "2500", "5000", "7500",
    "10000", "+Inf",
];

/// The annotations are those of today's program, letter by letter.
pub(crate) fn are_what_is_rendered(bed: &Bed, mesh: &Mesh<'_>) -> Result<(), Fault> {
    let plugin =
        ["get", "wasmplugin", "outrigger-traces-mesh", "-o", "jsonpath={.spec.pluginConfig}"];
    let configuration = mesh.place().kubectl(&plugin, "")?;
    let rendered = bed.outrigger(&["render", "--istio", "telemetry", "-"], &configuration)?;
    let (_, annotations) = rendered.split_once("  annotations:\n").ok_or("no annotations")?;
    let pasted: String = annotations.lines().map(|line| format!("    {line}\n")).collect();
    if RENDERED.ends_with(&pasted) { Ok(()) } else { Err(format!("{pasted} is not {RENDERED}")) }
}

/// The upper bounds of an application's buckets.
fn bounds(mesh: &Mesh<'_>, app: &str) -> Result<BTreeSet<String>, Fault> {
    let buckets = mesh.place().scrape(app, &format!("{DURATION}_bucket"))?;
    Ok(buckets.iter().map(|series| series.label("le").to_owned()).collect())
}

/// They come with the metrics, whose sums are what was asked; where the annotations are not, the buckets are Envoy's
/// own and the labels those of the mesh.
pub(crate) fn come_with_metrics(mesh: &Mesh<'_>) -> Result<(), Fault> {
    let tenants = ["acme", "_other", "unknown"];
    let counted = |tenant| {
        let labels = [
            ("http_route", "/checkout/{order}"),
            ("http_request_method", "GET"),
            ("outcome", "ok"),
            ("http_response_status_class", "2xx"),
            ("tenant", tenant),
        ];
        mesh.sum("checkout", REQUESTS, &labels)
    };
    let before = tenants.map(counted);
    for (times, headers) in
        [(7, &[("x-tenant", "acme")][..]), (3, &[("x-tenant", "umbrella")]), (4, &[])]
    {
        for _ in 0..times {
            mesh.ask("/checkout/1", headers)?;
        }
    }
    until("every request under its labels, and as many durations", || {
        let mut added = Vec::new();
        for (tenant, before) in tenants.into_iter().zip(before.clone()) {
            added.push(counted(tenant)? - before?);
        }
        // Envoy shows what is in a histogram a few seconds later.
        let (requests, durations) = (
            mesh.sum("checkout", REQUESTS, &[])?,
            mesh.sum("checkout", &format!("{DURATION}_count"), &[])?,
        );
        let as_asked = added == [7.0, 3.0, 4.0] && requests == durations;
        if as_asked { Ok(()) } else { Err(format!("{added:?}, {durations} of {requests}")) }
    })?;

    let ours: BTreeSet<String> = BUCKETS.map(str::to_owned).into();
    let (with, without) = (bounds(mesh, "checkout")?, bounds(mesh, "payments")?);
    if with != ours || without.is_empty() || without.contains("7500") {
        return Err(format!("{with:?} with annotations, {without:?} without"));
    }
    // A pod's list takes the place of the mesh's, which has every label of ours.
    let cut = |app| Ok::<_, Fault>(mesh.bootstrap(app)?.contains(r#""tagName": "rollout""#));
    if cut("checkout")? || !cut("payments")? {
        return Err("the labels are not those of the annotations".to_owned());
    }
    Ok(())
}
