//! Series that a filter may count in, all known at load: the bound on their number is the configuration's, never the
//! traffic's.
//!
//! proxy-wasm has no labels, and Envoy never forgets a stat that a module defined. A family therefore names every
//! value of every label when the filter is configured, and a series is an index into their product. Labels are
//! written into the stat's name as `NAME.label=.=value;.;label2=.=value2;.;`, from which Envoy's `stats_tags` cut
//! them out again.

use std::fmt;
use std::rc::Rc;

/// The most series that one plugin may declare. A counter costs Envoy about half a kilobyte, a histogram six.
pub const MAX_SERIES: usize = 20_000;

/// The families that a filter declares while it is configured.
#[derive(Clone, Debug, Default)]
pub struct Metrics {
    families: Vec<Declared>,
}

/// What a stat counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MetricKind {
    /// A count that only grows.
    Counter,
    /// A distribution of whole numbers.
    Histogram,
}

/// A family as declared: its name, and every value that each of its labels can take.
#[derive(Clone, Debug)]
struct Declared {
    name: Rc<str>,
    kind: MetricKind,
    labels: Vec<(&'static str, Vec<LabelValue>)>,
}

/// A declared family, to name its series by.
#[derive(Clone, Debug)]
pub struct Family {
    index: u16,
    sizes: Rc<[usize]>,
}

/// One series of one family.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Series {
    /// Which family, in order of declaration.
    pub family: u16,
    /// Which combination of label values.
    pub index: u32,
}

/// Why a family cannot be declared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InvalidMetric {
    /// A name or a label is not made of letters, digits, `_` and, for names, `.`.
    Name,
    /// The plugin would have more than [`MAX_SERIES`] series: this many.
    TooMany(usize),
}

impl fmt::Display for InvalidMetric {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name => f.write_str("a name that cannot stand in a metric"),
            Self::TooMany(count) => write!(f, "{count} metric series"),
        }
    }
}

/// A label's value that can be told apart again: not empty, one line, without the encoding's own marks.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct LabelValue(Rc<str>);

impl LabelValue {
    /// `text` as a label's value, unless it is empty, longer than 128 bytes, or holds a control character, `;` or `=`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let plain = |c: char| !c.is_control() && c != ';' && c != '=';
        ((1..=128).contains(&text.len()) && text.chars().all(plain)).then(|| Self(text.into()))
    }

    /// The value as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Metrics {
    /// A counter, by every value of every label.
    ///
    /// # Errors
    /// When a name cannot stand in a metric, or the series become too many.
    pub fn counter(
        &mut self,
        name: &str,
        labels: Vec<(&'static str, Vec<LabelValue>)>,
    ) -> Result<Family, InvalidMetric> {
        self.declare(name, MetricKind::Counter, labels)
    }

    /// A histogram, by every value of every label. Its unit belongs in its name.
    ///
    /// # Errors
    /// As [`Metrics::counter`].
    pub fn histogram(
        &mut self,
        name: &str,
        labels: Vec<(&'static str, Vec<LabelValue>)>,
    ) -> Result<Family, InvalidMetric> {
        self.declare(name, MetricKind::Histogram, labels)
    }

    fn declare(
        &mut self,
        name: &str,
        kind: MetricKind,
        labels: Vec<(&'static str, Vec<LabelValue>)>,
    ) -> Result<Family, InvalidMetric> {
        let word = |text: &str, dots: bool| {
            let rest =
                |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || (dots && byte == b'.');
            text.bytes().next().is_some_and(|byte| byte.is_ascii_alphabetic())
                && text.bytes().all(rest)
        };
        if !word(name, true) || !labels.iter().all(|(label, _)| word(label, false)) {
            return Err(InvalidMetric::Name);
        }
        let sizes: Rc<[usize]> = labels.iter().map(|(_, values)| values.len()).collect();
        let count = sizes.iter().fold(1_usize, |product, size| product.saturating_mul(*size));
        let total = self.series().saturating_add(count);
        let index =
            u16::try_from(self.families.len()).map_err(|_| InvalidMetric::TooMany(total))?;
        if count == 0 || total > MAX_SERIES {
            return Err(InvalidMetric::TooMany(total));
        }
        self.families.push(Declared { name: name.into(), kind, labels });
        Ok(Family { index, sizes })
    }

    /// How many series are declared.
    #[must_use]
    pub fn series(&self) -> usize {
        (0..self.families.len()).map(|family| self.size(family)).sum()
    }

    /// How many series each family has, in order of declaration.
    pub fn sizes(&self) -> impl Iterator<Item = usize> {
        (0..self.families.len()).map(|family| self.size(family))
    }

    fn size(&self, family: usize) -> usize {
        self.families
            .get(family)
            .map_or(0, |declared| declared.labels.iter().map(|(_, values)| values.len()).product())
    }

    /// The stat behind a series: what it counts, and its name with the labels written in.
    #[must_use]
    pub fn stat(&self, series: Series) -> Option<(MetricKind, String)> {
        let declared = self.families.get(usize::from(series.family))?;
        let mut rest = usize::try_from(series.index).ok()?;
        let mut name = declared.name.to_string();
        for (position, (label, values)) in declared.labels.iter().enumerate() {
            let value = values.get(rest.checked_rem(values.len())?)?;
            rest = rest.checked_div(values.len())?;
            if position == 0 {
                name.push('.');
            }
            name.push_str(label);
            name.push_str("=.=");
            name.push_str(value.as_str());
            name.push_str(";.;");
        }
        (rest == 0).then_some((declared.kind, name))
    }
}

impl Family {
    /// The series of these label values, each by its position in the declaration. A position past the end means the
    /// last value, and a missing one the first, so that a count is never lost.
    #[must_use]
    pub fn series(&self, positions: &[usize]) -> Series {
        let mut index = 0_usize;
        let mut stride = 1_usize;
        for (label, size) in self.sizes.iter().enumerate() {
            let position = positions.get(label).copied().unwrap_or_default();
            let last = size.saturating_sub(1);
            index = index.saturating_add(position.min(last).saturating_mul(stride));
            stride = stride.saturating_mul(*size);
        }
        Series { family: self.index, index: u32::try_from(index).unwrap_or_default() }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::*;

    fn values(texts: &[&str]) -> Vec<LabelValue> {
        texts.iter().map(|text| LabelValue::parse(text).unwrap()).collect()
    }

    #[test]
    fn labels_are_written_after_the_name() {
        let mut metrics = Metrics::default();
        let labels = vec![("route", values(&["/a/{id}", "_other"])), ("method", values(&["GET"]))];
        let family = metrics.counter("requests_total", labels).unwrap();
        let (kind, name) = metrics.stat(family.series(&[1, 0])).unwrap();
        assert_eq!(kind, MetricKind::Counter);
        assert_eq!(name, "requests_total.route=.=_other;.;method=.=GET;.;");
    }

    #[test]
    fn a_value_cannot_forge_a_label() {
        for bad in ["", "a;.;b=.=c", "a\nb", "a=b", "a;", "a\u{7f}"] {
            assert_eq!(LabelValue::parse(bad), None, "{bad:?}");
        }
        assert!(LabelValue::parse("/v1/users/{id} \"quoted\" é").is_some());
    }

    #[test]
    fn a_name_must_be_a_stat_name() {
        for bad in ["", "9a", "a b", "a;b"] {
            assert_eq!(
                Metrics::default().counter(bad, vec![]).unwrap_err(),
                InvalidMetric::Name,
                "{bad:?}"
            );
        }
    }

    #[test]
    fn more_series_than_the_cap_are_refused() {
        let many: Vec<_> = (0..1000).map(|n| LabelValue::parse(&n.to_string()).unwrap()).collect();
        let mut metrics = Metrics::default();
        let error =
            metrics.counter("a", vec![("x", many.clone()), ("y", many.clone())]).unwrap_err();
        assert_eq!(error, InvalidMetric::TooMany(1_000_000));
        assert_eq!(
            metrics.counter("a", vec![("x", many), ("y", vec![])]).unwrap_err(),
            InvalidMetric::TooMany(0)
        );
    }

    proptest! {
        #[test]
        fn every_combination_is_a_series_of_its_own(sizes in prop::collection::vec(1_usize..5, 0..4)) {
            let all = ["a", "b", "c", "d"];
            let labels = ["l1", "l2", "l3", "l4"];
            let declared = sizes.iter().zip(labels).map(|(size, label)| (label, values(&all[..*size]))).collect();
            let mut metrics = Metrics::default();
            metrics.counter("first", vec![]).unwrap();
            let family = metrics.counter("family", declared).unwrap();
            let mut combinations = vec![vec![]];
            for size in &sizes {
                combinations = combinations
                    .iter()
                    .flat_map(|head: &Vec<usize>| (0..*size).map(move |n| [&head[..], &[n]].concat()))
                    .collect();
            }
            let names: HashSet<_> =
                combinations.iter().map(|positions| metrics.stat(family.series(positions)).unwrap().1).collect();
            prop_assert_eq!(names.len(), combinations.len());
            prop_assert_eq!(metrics.series(), combinations.len() + 1);
        }
    }
}
