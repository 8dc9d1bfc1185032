//! What a refused configuration does to all else that a proxy is told: Envoy keeps it for filters still to be made, so
//! that no listener with the plugin in it can be changed or come back.

use std::sync::atomic::{AtomicUsize, Ordering};

use proof::{Bed, Callees, Fault, Strategy, Watch, until};

use crate::configuration::{refused, wait_refused};
use crate::limit;

/// Twenty requests that the plugin itself lets through: each is a new tenant's first.
fn ask(callees: &Callees<'_>, strategy: Strategy) -> Result<Vec<u16>, Fault> {
    static TENANTS: AtomicUsize = AtomicUsize::new(0);
    let ask = |_| {
        let tenant = format!("{}-{}", std::process::id(), TENANTS.fetch_add(1, Ordering::Relaxed));
        callees.ask(strategy, "/", &[("x-tenant", &tenant)]).map(|answer| answer.status)
    };
    (0..20).map(ask).collect()
}

/// Waits until the proxy has refused its inbound listener for the plugin's sake.
fn wait_frozen(watch: &Watch<'_>) -> Result<(), Fault> {
    let name = format!("failures.{}~istio-translated-wasmplugin", watch.strategy().callee());
    let why = format!("config rejected: Unable to create Wasm plugin {name}");
    watch.wait_line(&["warning\tenvoy upstream", "lds: listener 'virtualInbound'", &why])?;
    until("istiod to know", || {
        let rejects = watch.grown_in_istiod("pilot_total_xds_rejects", r#"type="lds""#)?;
        if rejects >= 1.0 { Ok(()) } else { Err(format!("{rejects}")) }
    })
}

/// Waits until the proxy has taken the mended plugin.
fn wait_mended(watch: &Watch<'_>) -> Result<(), Fault> {
    until("the mended plugin", || {
        let reloads = watch.grown_discovery("config_reload")?;
        if reloads >= 1.0 { Ok(()) } else { watch.log().and_then(Err) }
    })
}

#[test]
fn while_an_update_is_refused_a_new_policy_is_not_enforced() -> Result<(), Fault> {
    let bed = Bed::connect()?;
    let callees = Callees::new(&bed)?;
    let image = bed.push("ratelimit")?;
    callees.apply_all(&limit(&image.url))?;
    for strategy in Strategy::ALL {
        callees.settle(strategy, 429)?;
    }
    let watches = Watch::all(&callees)?;
    callees.apply_all(&refused(&image.url))?;
    watches.iter().try_for_each(wait_refused)?;

    callees.forbid()?;
    for watch in &watches {
        wait_frozen(watch)?;
        assert_eq!(ask(&callees, watch.strategy())?, [200; 20]);
        assert!(watch.still_ready()?);
    }

    // The mended plugin comes behind the listener, which is refused once more; what is sent after puts both right.
    for strategy in Strategy::ALL {
        let watch = Watch::start(&callees, strategy)?;
        callees.apply(strategy, &limit(&image.url))?;
        wait_frozen(&watch)?;
        wait_mended(&watch)?;
        assert_eq!(ask(&callees, strategy)?, [200; 20]);
    }
    callees.touch()?;
    for watch in &watches {
        until("the policy", || {
            let statuses = ask(&callees, watch.strategy())?;
            if statuses == [403; 20] { Ok(()) } else { Err(format!("{statuses:?}")) }
        })?;
        assert!(watch.still_ready()?);
    }
    Ok(())
}

#[test]
fn a_refused_plugin_that_is_taken_away_and_comes_back_mended_does_not_come_back()
-> Result<(), Fault> {
    let bed = Bed::connect()?;
    let callees = Callees::new(&bed)?;
    let image = bed.push("ratelimit")?;
    for strategy in Strategy::ALL {
        let watch = Watch::start(&callees, strategy)?;
        callees.apply(strategy, &refused(&image.url))?;
        wait_refused(&watch)?;
        callees.settle(strategy, 500)?;
        callees.remove()?;
        callees.settle(strategy, 200)?;

        let watch = Watch::start(&callees, strategy)?;
        callees.apply(strategy, &limit(&image.url))?;
        wait_frozen(&watch)?;
        wait_mended(&watch)?;
        // Nobody has a tenant here, and nobody is refused.
        callees.settle(strategy, 200)?;
        assert!(watch.still_ready()?);
        callees.touch()?;
        callees.settle(strategy, 429)?;
        assert!(watch.still_ready()?);
    }
    Ok(())
}
