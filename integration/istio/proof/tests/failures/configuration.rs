//! Plugins whose configuration the filter refuses.

use proof::{Bed, Callees, Fault, Strategy, Watch, until};
use serde_json::{Value, json};

use crate::{limit, with};

/// The filter's own line.
const REFUSAL: &str = r#"ratelimit: configuration refused at "/rules": expected at least one item"#;

/// The limit, with a configuration that is refused.
pub(crate) fn refused(url: &str) -> Value {
    with(limit(url), json!({ "pluginConfig": { "rules": [] } }))
}

/// Waits until a proxy has refused it, and holds where that shows.
pub(crate) fn wait_refused(watch: &Watch<'_>) -> Result<(), Fault> {
    watch.wait_line(&["error\tenvoy wasm", REFUSAL])?;
    let name = format!("failures.{}~istio-translated-wasmplugin", watch.strategy().callee());
    let rejected = format!("rejected: Unable to create Wasm plugin {name}");
    watch.wait_line(&["warning\tenvoy config", &rejected])?;
    // The same words under each strategy.
    watch
        .wait_line(&["critical\tenvoy wasm", "Plugin configured to fail closed failed to load"])?;
    for counter in ["update_rejected", "config_fail"] {
        assert_eq!(watch.grown_discovery(counter)?, 1.0, "{counter}");
    }
    // To the agent it is a plugin like others: the module was there.
    for word in ["fetch_failure", "download_failure"] {
        assert_eq!(watch.grown("istio_agent_wasm_", word)?, 0.0, "{word}");
    }
    Ok(())
}

/// Waits until istiod knows of refusals by as many proxies.
fn wait_rejects(watch: &Watch<'_>, count: f64) -> Result<(), Fault> {
    until(&format!("{count} rejects"), || {
        let rejects = watch.grown_in_istiod("pilot_total_xds_rejects", r#"type="ecds""#)?;
        if rejects >= count { Ok(()) } else { Err(format!("{rejects}")) }
    })
}

/// Waits until a callee serves nothing, and holds where that shows.
fn wait_dead(callees: &Callees<'_>, watch: &Watch<'_>) -> Result<(), Fault> {
    let answer = callees.settle(watch.strategy(), 500)?;
    assert_eq!(answer.body, "");
    callees.ask(watch.strategy(), "/dead", &[])?;
    let line = watch.wait_line(&["\"path\":\"/dead\""])?;
    let flags = [r#""response_flags":"NFCF""#, r#""response_code_details":"""#];
    assert!(flags.iter().all(|flag| line.contains(flag)), "{line}");
    Ok(())
}

#[test]
fn a_refused_update_changes_nothing_until_a_pod_starts_and_that_one_serves_nothing()
-> Result<(), Fault> {
    let bed = Bed::connect()?;
    let mut callees = Callees::new(&bed)?;
    let image = bed.push("ratelimit")?;
    callees.apply_all(&limit(&image.url))?;
    for strategy in Strategy::ALL {
        callees.settle(strategy, 429)?;
    }
    let watches = Watch::all(&callees)?;
    callees.apply_all(&refused(&image.url))?;
    for watch in &watches {
        wait_refused(watch)?;
        wait_rejects(watch, 3.0)?;
        callees.settle(watch.strategy(), 429)?;
        assert!(watch.still_ready()?);
        // What istioctl shows is what was sent, not what decides.
        let pod = callees.pod(watch.strategy())?;
        let shown = ["-n", "failures", "proxy-config", "ecds", pod, "-o", "json"];
        assert!(bed.run("istioctl", &shown, "")?.contains(r#"{\"rules\":[]}"#));
    }

    callees.restart()?;
    for strategy in Strategy::ALL {
        assert!(callees.log(strategy)?.contains(REFUSAL));
    }
    let watches = Watch::all(&callees)?;
    for watch in &watches {
        wait_dead(&callees, watch)?;
        assert!(watch.still_ready()?);
    }
    callees.apply_all(&limit(&image.url))?;
    for watch in &watches {
        callees.settle(watch.strategy(), 429)?;
        assert!(watch.still_ready()?);
    }
    Ok(())
}

#[test]
fn a_proxy_whose_first_plugin_is_refused_serves_nothing_until_it_is_mended() -> Result<(), Fault> {
    let bed = Bed::connect()?;
    let callees = Callees::new(&bed)?;
    let image = bed.push("ratelimit")?;
    let watches = Watch::all(&callees)?;
    callees.apply_all(&refused(&image.url))?;
    for watch in &watches {
        wait_refused(watch)?;
        wait_dead(&callees, watch)?;
        assert!(watch.still_ready()?);
    }
    callees.apply_all(&limit(&image.url))?;
    for watch in &watches {
        callees.settle(watch.strategy(), 429)?;
        assert!(watch.still_ready()?);
    }
    Ok(())
}
