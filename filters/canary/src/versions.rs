//! What is counted and said of a rollout's versions, made once: it is the same for every request that gets one.

use filter_core::decision::Reason as _;
use filter_core::metrics::{InvalidMetric, LabelValue};
use filter_core::{Count, Decision, Ledger, Metrics};

use crate::assign::{Assignment, Why};
use crate::config::Rollout;

/// A rollout's versions. One without variants, which leaves the choice to the route, has a stable one without a name.
#[derive(Debug)]
pub(crate) struct Versions {
    stable: Version,
    /// In the rollout's order.
    variants: Vec<Version>,
}

/// One of them.
#[derive(Debug)]
pub(crate) struct Version {
    /// One more assignment, where it has a name.
    pub(crate) count: Option<Count>,
    /// What gives it, for each reason in its order.
    decisions: Vec<Decision>,
}

impl Versions {
    /// Those of a rollout at a place among all, with its part of the counter of assignments: a family of its own, since
    /// versions are its own.
    pub(crate) fn of(
        rollout: &Rollout,
        place: usize,
        ledger: &Ledger,
        metrics: &mut Metrics,
    ) -> Result<Self, InvalidMetric> {
        let decisions = || Why::ALL.iter().map(|why| ledger.by(place, *why));
        if rollout.variants.is_empty() {
            let stable = Version { count: None, decisions: decisions().collect() };
            return Ok(Self { stable, variants: Vec::new() });
        }
        let label = |text: &str| LabelValue::parse(text).ok_or(InvalidMetric::Name);
        // A platform's control is a variant, and may be the stable version.
        let mut names = vec![rollout.version(None)];
        for variant in 0..rollout.variants.len() {
            let name = rollout.version(Some(variant));
            if !names.contains(&name) {
                names.push(name);
            }
        }
        let labels = names.iter().map(|name| label(name)).collect::<Result<_, _>>()?;
        let family = metrics.counter(
            "outrigger_canary_assignments_total",
            vec![("rollout", vec![label(rollout.name.as_str())?]), ("variant", labels)],
        )?;
        let version = |variant| {
            let name = rollout.version(variant);
            let place = names.iter().position(|known| *known == name).unwrap_or_default();
            Version {
                count: Some(Count::Add(family.series(&[0, place]), 1)),
                decisions: decisions().map(|decision| decision.giving(name)).collect(),
            }
        };
        let variants = (0..rollout.variants.len()).map(Some).map(version).collect();
        Ok(Self { stable: version(None), variants })
    }

    /// The version that was assigned.
    pub(crate) fn assigned(&self, got: Assignment) -> &Version {
        got.variant.and_then(|variant| self.variants.get(variant)).unwrap_or(&self.stable)
    }
}

impl Version {
    /// The decision that gives it for this reason.
    pub(crate) fn by(&self, why: Why) -> Option<&Decision> {
        self.decisions.get(why as usize)
    }
}
