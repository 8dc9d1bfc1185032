//! What is measured, as data.

use serde_json::Value;

use crate::Plugin;
use crate::bench::asks::Ask;
use crate::bench::routes::Routes;

/// One filter of a chain.
#[derive(Clone, Debug)]
pub(crate) enum Link {
    Ours(Plugin),
    Native(Value),
}

/// What a listener does with requests, and what must come of it.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// Its name, and its listener's.
    pub name: &'static str,
    /// The filters, for people.
    pub chain: &'static str,
    /// The filters.
    pub(crate) links: Vec<Link>,
    /// Where requests go.
    pub(crate) routes: Routes,
    /// The access logger, if there is one.
    pub(crate) logger: Option<Value>,
    /// The requests that are measured.
    pub asks: Vec<Ask>,
    /// Further requests that show that the filters are awake.
    pub probes: Vec<Ask>,
    /// A part of the names of the counters that must count the requests, if statuses do not tell.
    pub witness: Option<&'static str>,
    /// The scenario to subtract: the same without the filters. None for such a one.
    pub floor: Option<&'static str>,
    /// The scenario in which Envoy's own filters do the same.
    pub native: Option<&'static str>,
    /// The scenario in which a module makes the calls that this cannot be done without, and does nothing else.
    pub calls: Option<&'static str>,
}

impl Scenario {
    /// The modules that it runs, as paths from the repository's root.
    pub fn modules(&self) -> impl Iterator<Item = &str> {
        self.links.iter().filter_map(|link| match link {
            Link::Ours(plugin) => Some(plugin.module.as_str()),
            Link::Native(_) => None,
        })
    }
}
