//! Telemetry over three hops behind a gateway: whose trace it is, what becomes of its metrics in a pod with annotations
//! that `outrigger render --istio` wrote, and what of Istio's own metrics. One mesh for all, as that takes the longest.

mod labels;
mod mesh;
mod overrides;
mod spans;
mod trace;

use mesh::Mesh;
use proof::Bed;

#[test]
fn one_trace_rendered_labels_and_tag_overrides_over_three_hops() {
    let bed = Bed::connect().unwrap();
    let mesh = Mesh::up(&bed).unwrap();
    mesh.wait_for_plugins().unwrap();
    let spans = trace::is_one_over_three_hops(&mesh).unwrap();
    labels::are_what_is_rendered(&bed, &mesh).unwrap();
    labels::come_with_metrics(&mesh).unwrap();
    overrides::have_an_expression_that_stock_envoy_counts_by(&mesh).unwrap();
    trace::is_in_access_logs(&mesh, &spans).unwrap();
    overrides::are_refused_with_every_listener(&bed, &mesh).unwrap();
}
