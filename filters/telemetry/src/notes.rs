//! What the filter counts of itself: what it learned, what found no room, what it had to clean.

use filter_core::Count;
use filter_core::metrics::{Dimension, Family, InvalidMetric, LabelValue, MetricKind, Metrics};

/// Something that befell a value of a label.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Note {
    /// It has a place of its own from now on.
    Learned,
    /// There was no room for it: counted as `_other`.
    Overflow,
    /// It was changed to be a label.
    Sanitised,
    /// The workers could not agree on it: counted as `_other`.
    Lost,
}

const NAMES: [(Note, &str); 4] = [
    (Note::Learned, "outrigger_telemetry_learned_total"),
    (Note::Overflow, "outrigger_telemetry_overflow_total"),
    (Note::Sanitised, "outrigger_telemetry_sanitised_total"),
    (Note::Lost, "outrigger_telemetry_lost_total"),
];

/// A counter for each kind of note, by the label that it is about, and how many series there can be.
#[derive(Debug, Default)]
pub(crate) struct Notes {
    /// The labels that learn.
    labels: Vec<&'static str>,
    families: Vec<(Note, Family)>,
}

impl Notes {
    /// Declares the counters of the labels that learn. If none does there is nothing to note.
    pub(crate) fn declare(
        labels: Vec<&'static str>,
        metrics: &mut Metrics,
    ) -> Result<Self, InvalidMetric> {
        if labels.is_empty() {
            return Ok(Self::default());
        }
        let names: Vec<LabelValue> = labels
            .iter()
            .map(|label| LabelValue::parse(label).ok_or(InvalidMetric::Name))
            .collect::<Result<_, _>>()?;
        let family = |(note, name): &(Note, &str)| {
            let dimension = Dimension::closed("label", names.clone());
            Ok((*note, metrics.family(name, MetricKind::Counter, vec![dimension], &[])?))
        };
        let families = NAMES.iter().map(family).collect::<Result<_, _>>()?;
        Ok(Self { labels, families })
    }

    /// One more note about a label.
    pub(crate) fn count(&self, label: &str, note: Note) -> Option<Count> {
        let position = self.labels.iter().position(|other| *other == label)?;
        let (_, family) = self.families.iter().find(|(other, _)| *other == note)?;
        Some(Count::Add(family.series(&[position]), 1))
    }
}

/// How many series there can be, as a metric of its own: the bound, not what is in use.
#[derive(Debug)]
pub(crate) struct Ceiling {
    family: Family,
    series: u64,
}

impl Ceiling {
    /// Declares it, after all others but the gauge of what is in use.
    pub(crate) fn declare(metrics: &mut Metrics) -> Result<Self, InvalidMetric> {
        let family =
            metrics.family("outrigger_telemetry_series_limit", MetricKind::Gauge, vec![], &[])?;
        let series = metrics.series().saturating_add(1);
        Ok(Self { family, series: u64::try_from(series).unwrap_or(u64::MAX) })
    }

    /// Tells it.
    pub(crate) fn count(&self) -> Count {
        Count::Record(self.family.series(&[]), self.series)
    }
}
