//! One Envoy for all scenarios, each with a listener of its own, made out of that of `envoy-configs/chain.yaml`.

use serde_json::{Value, json};

use crate::bench::scenario::{Link, Scenario};
use crate::document::put;
use crate::{Bootstrap, Listener, Plugin};

const MANAGER: &str = "/filter_chains/0/filters/0/typed_config";
const PORT: &str = "/address/socket_address/port_value";

/// The configuration of that Envoy.
///
/// # Errors
/// When `envoy-configs/chain.yaml` does not fit, or a module was not built.
pub fn bootstrap(scenarios: &[Scenario]) -> Result<Bootstrap, String> {
    let mut bootstrap = Bootstrap::shipped("chain")?;
    let template = bootstrap.demo()?;
    let listeners = scenarios.iter().map(|scenario| listener(&template, scenario));
    bootstrap.set_listeners(listeners.collect::<Result<_, _>>()?)?;
    bootstrap.listen_admin(0)?;
    Ok(bootstrap)
}

fn listener(template: &Listener, scenario: &Scenario) -> Result<Listener, String> {
    let filters = scenario.links.iter().enumerate().map(|(place, link)| match link {
        // A VM of its own for each, so that none is warmed up by another.
        Link::Ours(plugin) => {
            let vm_id = format!("{}-{place}", scenario.name);
            Plugin { vm_id, ..plugin.clone() }.to_filter()
        }
        Link::Native(filter) => Ok(filter.clone()),
    });
    let named = template.clone().named(scenario.name)?;
    let mut listener = named.with_filters(filters.collect::<Result<_, _>>()?)?.into_value();
    put(&mut listener, PORT, 0.into())?;
    // Writing lines would cost more than most filters do.
    let loggers: Vec<Value> = scenario.logger.iter().cloned().collect();
    put(&mut listener, &format!("{MANAGER}/access_log"), loggers.into())?;
    let hosts = json!([{"name": "all", "domains": ["*"], "routes": scenario.routes.to_json()}]);
    put(&mut listener, &format!("{MANAGER}/route_config"), json!({"virtual_hosts": hosts}))?;
    Ok(Listener::new(listener))
}
