//! One side of a family's table of series: what each of its rows writes into a stat's name.

use std::cell::OnceCell;
use std::rc::Rc;

use super::LabelValue;

/// Labels that go together, and every row of values that they can have. A row without a value for a label leaves the
/// label out of the name, which Prometheus reads as empty.
#[derive(Clone, Debug)]
pub struct Dimension {
    labels: Vec<&'static str>,
    rows: Rc<[Vec<Option<LabelValue>>]>,
    learned: Option<Learned>,
}

impl Dimension {
    /// One label, and every value that it can have.
    #[must_use]
    pub fn closed(label: &'static str, values: Vec<LabelValue>) -> Self {
        Self::rows(vec![label], values.into_iter().map(|value| vec![Some(value)]).collect())
    }

    /// Several labels, and every row of values that they can have together. A row that is too short leaves the last
    /// labels out.
    #[must_use]
    pub fn rows(labels: Vec<&'static str>, rows: Vec<Vec<Option<LabelValue>>>) -> Self {
        Self { labels, rows: rows.into(), learned: None }
    }

    /// Several labels, the rows that they have anyway, and then those that will be learned.
    #[must_use]
    pub fn learned(
        labels: Vec<&'static str>,
        rows: Vec<Vec<Option<LabelValue>>>,
        learned: &Learned,
    ) -> Self {
        Self { learned: Some(learned.clone()), ..Self::rows(labels, rows) }
    }

    /// The labels.
    #[must_use]
    pub fn labels(&self) -> &[&'static str] {
        &self.labels
    }

    /// How many rows there are, those that are not learned yet included.
    #[must_use]
    pub fn size(&self) -> usize {
        self.rows.len().saturating_add(self.learned.as_ref().map_or(0, Learned::room))
    }

    /// The values of a row, in the order of the labels; `None` for a row that there is not, or not yet.
    #[must_use]
    pub fn values(&self, row: usize) -> Option<&[Option<LabelValue>]> {
        match self.rows.get(row) {
            Some(values) => Some(values),
            None => self.learned.as_ref()?.values(row.checked_sub(self.rows.len())?),
        }
    }

    /// Each label of a row with its value.
    pub(super) fn row(&self, row: usize) -> Option<Vec<(&'static str, &LabelValue)>> {
        let named = self.labels.iter().zip(self.values(row)?);
        Some(named.filter_map(|(label, value)| Some((*label, value.as_ref()?))).collect())
    }
}

/// Rows of values that are learned from traffic, each in a place of its own, of which there are so many and no more.
/// Whoever learns must see to it that one place means the same in all workers.
#[derive(Clone, Debug)]
pub struct Learned(Rc<[OnceCell<Vec<Option<LabelValue>>>]>);

impl Learned {
    /// Room for so many rows.
    #[must_use]
    pub fn with_room(places: usize) -> Self {
        Self((0..places).map(|_| OnceCell::new()).collect())
    }

    /// How many rows there is room for.
    #[must_use]
    pub fn room(&self) -> usize {
        self.0.len()
    }

    /// Learns a row, unless the place is taken or there is none.
    pub fn learn(&self, place: usize, values: Vec<Option<LabelValue>>) {
        if let Some(slot) = self.0.get(place) {
            // What is there stays: its series are named already.
            let _ = slot.set(values);
        }
    }

    /// The row at a place, if one was learned.
    #[must_use]
    pub fn values(&self, place: usize) -> Option<&[Option<LabelValue>]> {
        self.0.get(place)?.get().map(Vec::as_slice)
    }
}
