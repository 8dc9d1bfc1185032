//! Series that a filter may count in, all known at load: the bound on their number is the configuration's, never the
//! traffic's.
//!
//! proxy-wasm has no labels, and Envoy never forgets a stat that a module defined. A family therefore names every
//! value of every label when the filter is configured, and a series is an index into their product. Labels are
//! written into the stat's name as `NAME.label=.=value;.;label2=.=value2;.;`, from which Envoy's `stats_tags` cut
//! them out again. Values that are learned from traffic have a fixed number of places in that product.

mod dimension;

use std::fmt;
use std::rc::Rc;

pub use dimension::{Dimension, Learned};

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
    /// A number that is what it was last set to.
    Gauge,
    /// A distribution of whole numbers.
    Histogram,
}

/// A family as declared: its name, and every value that each of its labels can take.
#[derive(Clone, Debug)]
struct Declared {
    name: Rc<str>,
    kind: MetricKind,
    dimensions: Vec<Dimension>,
    /// The upper bounds of a histogram's buckets, if it asks for some of its own.
    buckets: &'static [u64],
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
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
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
        self.family(name, MetricKind::Counter, closed(labels), &[])
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
        self.family(name, MetricKind::Histogram, closed(labels), &[])
    }

    /// A family of any kind, by every row of every dimension. `buckets` are a histogram's upper bounds, which the proxy's
    /// bootstrap must be told of; none are the proxy's own.
    ///
    /// # Errors
    /// As [`Metrics::counter`].
    pub fn family(
        &mut self,
        name: &str,
        kind: MetricKind,
        dimensions: Vec<Dimension>,
        buckets: &'static [u64],
    ) -> Result<Family, InvalidMetric> {
        let word = |text: &str, dots: bool| {
            let rest =
                |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || (dots && byte == b'.');
            text.bytes().next().is_some_and(|byte| byte.is_ascii_alphabetic())
                && text.bytes().all(rest)
        };
        let mut labels = dimensions.iter().flat_map(|dimension| dimension.labels());
        if !word(name, true) || !labels.all(|label| word(label, false)) {
            return Err(InvalidMetric::Name);
        }
        let sizes: Rc<[usize]> = dimensions.iter().map(Dimension::size).collect();
        let count = sizes.iter().fold(1_usize, |product, size| product.saturating_mul(*size));
        let total = self.series().saturating_add(count);
        let index =
            u16::try_from(self.families.len()).map_err(|_| InvalidMetric::TooMany(total))?;
        if count == 0 || total > MAX_SERIES {
            return Err(InvalidMetric::TooMany(total));
        }
        self.families.push(Declared { name: name.into(), kind, dimensions, buckets });
        Ok(Family { index, sizes })
    }

    /// Every label of every family, each once, in order of declaration.
    #[must_use]
    pub fn labels(&self) -> Vec<&'static str> {
        let dimensions = self.families.iter().flat_map(|declared| &declared.dimensions);
        let mut labels = Vec::new();
        for label in dimensions.flat_map(|dimension| dimension.labels()) {
            if !labels.contains(label) {
                labels.push(label);
            }
        }
        labels
    }

    /// Every histogram that asks for buckets of its own: its name and their upper bounds, each once.
    #[must_use]
    pub fn buckets(&self) -> Vec<(&str, &'static [u64])> {
        let mut all: Vec<(&str, &'static [u64])> = Vec::new();
        for declared in &self.families {
            let named = (&*declared.name, declared.buckets);
            if !declared.buckets.is_empty() && !all.contains(&named) {
                all.push(named);
            }
        }
        all
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
        let sizes = |declared: &Declared| declared.dimensions.iter().map(Dimension::size).product();
        self.families.get(family).map_or(0, sizes)
    }

    /// The stat behind a series: what it counts, and its name with the labels written in; `None` also where a value is
    /// not learned yet.
    #[must_use]
    pub fn stat(&self, series: Series) -> Option<(MetricKind, String)> {
        let declared = self.families.get(usize::from(series.family))?;
        let mut name = declared.name.to_string();
        let mut begin = ".";
        for (label, value) in self.labelled(series)? {
            name.push_str(std::mem::take(&mut begin));
            name.push_str(label);
            name.push_str("=.=");
            name.push_str(value.as_str());
            name.push_str(";.;");
        }
        Some((declared.kind, name))
    }

    /// The labels of a series that have a value, in order of declaration; `None` also where a value is not learned yet.
    #[must_use]
    pub fn labelled(&self, series: Series) -> Option<Vec<(&'static str, &LabelValue)>> {
        let declared = self.families.get(usize::from(series.family))?;
        let mut rest = usize::try_from(series.index).ok()?;
        let mut labels = Vec::new();
        for dimension in &declared.dimensions {
            labels.extend(dimension.row(rest.checked_rem(dimension.size())?)?);
            rest = rest.checked_div(dimension.size())?;
        }
        (rest == 0).then_some(labels)
    }
}

fn closed(labels: Vec<(&'static str, Vec<LabelValue>)>) -> Vec<Dimension> {
    labels.into_iter().map(|(label, values)| Dimension::closed(label, values)).collect()
}

impl Family {
    /// Which family it is, as [`Series::family`] tells it.
    #[must_use]
    pub fn index(&self) -> u16 {
        self.index
    }

    /// The series of these label values, each by its position in the declaration. A position past the end means the
    /// last value, and a missing one the first, so that a count is never lost.
    #[must_use]
    pub fn series(&self, positions: &[usize]) -> Series {
        self.series_at(positions.iter().copied())
    }

    /// The same, of positions that come one by one.
    #[must_use]
    pub fn series_at(&self, positions: impl IntoIterator<Item = usize>) -> Series {
        let mut index = 0_usize;
        let mut stride = 1_usize;
        for (position, size) in positions.into_iter().zip(&*self.sizes) {
            let last = size.saturating_sub(1);
            index = index.saturating_add(position.min(last).saturating_mul(stride));
            stride = stride.saturating_mul(*size);
        }
        Series { family: self.index, index: u32::try_from(index).unwrap_or_default() }
    }
}

#[cfg(test)]
mod tests;
