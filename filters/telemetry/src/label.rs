//! A label whose values come with requests, and the bound on them: a list, a number of groups, or a table.

use std::collections::BTreeMap;
use std::hash::Hasher;

use filter_core::Count;
use filter_core::cells::Cells;
use filter_core::metrics::{Dimension, InvalidMetric, LabelValue};
use filter_core::view::View;
use siphasher::sip::SipHasher13;

use crate::admission::Side;
use crate::end::End;
use crate::learned::{Lesson, Table};
use crate::notes::{Note, Notes};
use crate::outcome::Ending;
use crate::source::Source;
use crate::value::Clean;

/// What a label says of a request that has no value for it.
const UNKNOWN: usize = 0;
/// What it says of a value that has no place of its own.
const OTHER: usize = 1;
/// Where its own values begin.
const FIRST: usize = 2;

/// So many values at most are gone by one after the other: most are told apart by their lengths.
const FEW: usize = 8;

/// A label, where its values are from, and which there can be.
#[derive(Debug)]
pub(crate) struct Label {
    /// Its name in metrics.
    pub(crate) name: &'static str,
    /// Its name in filter state.
    pub(crate) state: &'static str,
    /// Where its values are from.
    pub(crate) source: Source,
    bound: Bound,
}

/// Which values there can be.
#[derive(Debug)]
pub(crate) enum Bound {
    /// These.
    Allowed(Vec<LabelValue>, BTreeMap<Vec<u8>, usize>),
    /// So many groups, into which values are hashed.
    Groups(u64),
    /// Those that were learned first.
    Learned(Table),
}

impl Bound {
    /// These values and no others.
    pub(crate) fn allowed(values: Vec<LabelValue>) -> Self {
        let places = values.iter().map(|value| value.as_str().as_bytes().to_vec());
        let places = places.zip(FIRST..).collect();
        Self::Allowed(values, places)
    }
}

impl Label {
    /// A label.
    pub(crate) fn new(
        (name, state): (&'static str, &'static str),
        source: Source,
        bound: Bound,
    ) -> Self {
        Self { name, state, source, bound }
    }

    /// Whether it learns.
    pub(crate) fn learns(&self) -> bool {
        matches!(self.bound, Bound::Learned(_))
    }

    /// Its values, as a side of a metric.
    pub(crate) fn side(&self) -> Result<Side, InvalidMetric> {
        Ok(Side::collapsing(self.dimension()?, OTHER))
    }

    fn dimension(&self) -> Result<Dimension, InvalidMetric> {
        let label = |text: &str| LabelValue::parse(text).ok_or(InvalidMetric::Name);
        let mut values = vec![label("unknown")?, label("_other")?];
        match &self.bound {
            Bound::Allowed(allowed, _) => values.extend(allowed.iter().cloned()),
            Bound::Groups(groups) => {
                for group in 0..*groups {
                    values.push(label(&group.to_string())?);
                }
            }
            Bound::Learned(table) => return Ok(table.dimension(self.name, values)),
        }
        Ok(Dimension::closed(self.name, values))
    }

    /// The value at a place.
    pub(crate) fn value(&self, place: usize) -> Option<LabelValue> {
        let own = place.checked_sub(FIRST);
        match (&self.bound, own) {
            (_, None) => LabelValue::parse(if place == OTHER { "_other" } else { "unknown" }),
            (Bound::Allowed(values, _), Some(own)) => values.get(own).cloned(),
            (Bound::Groups(_), Some(own)) => LabelValue::parse(&own.to_string()),
            (Bound::Learned(table), Some(own)) => table.value(own),
        }
    }

    /// Where the exchange at hand belongs. Tables learn from requests that ended well alone.
    pub(crate) fn place(
        &self,
        view: View<'_>,
        end: End,
        cells: &dyn Cells,
        notes: &Notes,
        counts: &mut Vec<Count>,
    ) -> usize {
        let Some(sent) = self.source.read(view, end) else { return UNKNOWN };
        match &self.bound {
            Bound::Allowed(values, _) if values.len() <= FEW => {
                let own = values.iter().position(|value| value.as_str().as_bytes() == sent);
                own.map_or(OTHER, |own| own.saturating_add(FIRST))
            }
            Bound::Allowed(_, places) => places.get(&sent).copied().unwrap_or(OTHER),
            Bound::Groups(groups) => group(&sent, *groups),
            Bound::Learned(table) => {
                let Some(clean) = Clean::of(&sent) else { return UNKNOWN };
                let mut note = |note| counts.extend(notes.count(self.name, note));
                if clean.changed {
                    note(Note::Sanitised);
                }
                let place = if end.outcome == Ending::Ok {
                    let (place, noted) = learned(table, &clean.value, cells);
                    noted.into_iter().for_each(note);
                    place
                } else {
                    table.find(clean.value.as_str(), cells)
                };
                place.map_or(OTHER, |place| place.saturating_add(FIRST))
            }
        }
    }
}

/// The place of the group that a value is hashed into.
#[inline(never)]
fn group(sent: &[u8], groups: u64) -> usize {
    let mut hasher = SipHasher13::new();
    hasher.write(sent);
    let group = hasher.finish().checked_rem(groups).unwrap_or_default();
    usize::try_from(group).unwrap_or_default().saturating_add(FIRST)
}

/// Where a table has a value that it is taught, and what is to be noted of that.
#[inline(never)]
fn learned(table: &Table, value: &LabelValue, cells: &dyn Cells) -> (Option<usize>, Option<Note>) {
    match table.learn(value, cells) {
        Lesson::Known(place) => (Some(place), None),
        Lesson::New(place) => (Some(place), Some(Note::Learned)),
        Lesson::Full => (None, Some(Note::Overflow)),
        Lesson::Lost => (None, Some(Note::Lost)),
    }
}
