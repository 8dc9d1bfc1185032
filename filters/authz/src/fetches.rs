//! How fetches of key sets end, counted.

use filter_core::metrics::{Family, InvalidMetric, LabelValue};
use filter_core::{Count, Errand, Metrics};

use crate::fetch::Fetched;

/// The series: by URL and by how a fetch ended.
#[derive(Clone, Debug)]
pub(crate) struct Fetches(Option<Family>);

/// The ends, in the order of their labels.
const ENDS: [(Fetched, &str); 3] =
    [(Fetched::Changed, "changed"), (Fetched::Same, "same"), (Fetched::Failed, "failed")];

impl Fetches {
    /// Declares the series for these URLs, each an errand by its position.
    pub(crate) fn open<'a>(
        urls: impl Iterator<Item = &'a str>,
        metrics: &mut Metrics,
    ) -> Result<Self, InvalidMetric> {
        let label = |text: &str| LabelValue::parse(text).ok_or(InvalidMetric::Name);
        // A URL that makes no label, as it is too long or has a `=`, is known by its place.
        let named = |(place, url): (usize, &'a str)| {
            LabelValue::parse(url).map_or_else(|| label(&format!("jwksUri {place}")), Ok)
        };
        let urls: Vec<LabelValue> = urls.enumerate().map(named).collect::<Result<_, _>>()?;
        if urls.is_empty() {
            return Ok(Self(None));
        }
        let ends = ENDS.iter().map(|(_, name)| label(name)).collect::<Result<_, _>>()?;
        let labels = vec![("jwks_uri", urls), ("result", ends)];
        metrics.counter("outrigger_authz_jwks_fetches_total", labels).map(Some).map(Self)
    }

    /// One fetch has ended so.
    pub(crate) fn count(&self, errand: Errand, fetched: Fetched) -> Option<Count> {
        let family = self.0.as_ref()?;
        let end = ENDS.iter().position(|(end, _)| *end == fetched)?;
        let url = usize::try_from(errand.0).ok()?;
        Some(Count::Add(family.series(&[url, end]), 1))
    }
}
