//! What is counted and said of a rollout's versions, made once: it is the same for every request that gets one.

use filter_core::metrics::{InvalidMetric, LabelValue};
use filter_core::{Count, Metrics};

use crate::config::Rollout;

/// A rollout's versions.
#[derive(Debug)]
pub(crate) struct Versions {
    stable: Version,
    /// In the rollout's order.
    variants: Vec<Version>,
}

/// One of them.
#[derive(Debug)]
pub(crate) struct Version {
    /// One more assignment.
    pub(crate) count: Count,
    /// `ROLLOUT=VERSION`.
    pub(crate) word: Vec<u8>,
}

impl Versions {
    /// Declares a rollout's part of the counter of assignments: a family of its own, since versions are its own. A rollout
    /// without variants has none.
    pub(crate) fn of(
        rollout: &Rollout,
        metrics: &mut Metrics,
    ) -> Result<Option<Self>, InvalidMetric> {
        if rollout.variants.is_empty() {
            return Ok(None);
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
                count: Count::Add(family.series(&[0, place]), 1),
                word: format!("{}={name}", rollout.name).into_bytes(),
            }
        };
        let variants = (0..rollout.variants.len()).map(Some).map(version).collect();
        Ok(Some(Self { stable: version(None), variants }))
    }

    /// The version of a variant; of none, stable.
    pub(crate) fn of_variant(&self, variant: Option<usize>) -> &Version {
        variant.and_then(|variant| self.variants.get(variant)).unwrap_or(&self.stable)
    }
}
