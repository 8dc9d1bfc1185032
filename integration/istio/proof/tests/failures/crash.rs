//! A plugin that crashes while it has a request.

use proof::{Bed, Callees, Fault, Strategy, Watch, until};
use serde_json::json;

use crate::with;

/// Has twenty requests answered, and counts those that failed. A crash is a worker's own, and the gateway's connections
/// are spread over the workers.
fn failed(callees: &Callees<'_>, strategy: Strategy) -> Result<usize, Fault> {
    let mut failed = 0;
    for _ in 0..20 {
        let status = callees.ask(strategy, "/", &[])?.status;
        assert!([200, 503].contains(&status), "{status}");
        failed += usize::from(status == 503);
    }
    Ok(failed)
}

#[test]
fn a_crash_is_one_request_under_open_and_reload_and_a_workers_end_under_close() -> Result<(), Fault>
{
    let bed = Bed::connect()?;
    let callees = Callees::new(&bed)?;
    let probe = json!({ "url": bed.push_probe()? });
    callees.apply_all(&probe)?;
    for strategy in Strategy::ALL {
        until("the probe on every connection", || {
            for _ in 0..20 {
                let answer = callees.ask(strategy, "/", &[("x-probe", "world")])?;
                if !answer.body.contains("x-wall") {
                    return Err(answer.body);
                }
            }
            Ok(())
        })?;
    }
    for watch in Watch::all(&callees)? {
        let strategy = watch.strategy();
        let crashed = callees.ask(strategy, "/", &[("x-probe", "panic")])?;
        assert_eq!((crashed.status, crashed.body.as_str()), (503, ""));
        watch.wait_line(&["critical\tenvoy wasm", "panicked at"])?;
        watch.wait_line(&["error\tenvoy wasm", "Function: proxy_on_request_headers failed"])?;
        let failed = failed(&callees, strategy)?;
        assert_eq!(failed > 0, strategy == Strategy::Close, "{strategy:?}: {failed}");
        let reloads = format!(
            "envoy_wasm_failures_{}_istio_translated_wasmplugin_vm_reload_success",
            strategy.callee()
        );
        let reloaded = watch.grown(&reloads, "")?;
        assert_eq!(reloaded > 0.0, strategy == Strategy::Reload, "{strategy:?}: {reloaded}");
        let crashed = [r#""response_code_details":"wasm_fail_stream""#, r#""response_flags":"-""#];
        let line = watch.wait_line(&[crashed[0]])?;
        assert!(crashed.iter().all(|field| line.contains(field)), "{line}");
        assert!(watch.still_ready()?);
    }
    // A changed configuration gets a new VM.
    callees.apply_all(&with(probe, json!({ "pluginConfig": { "changed": true } })))?;
    for strategy in Strategy::ALL {
        callees.settle(strategy, 200)?;
    }
    Ok(())
}
