//! The series of one metric: all there could be, or, where those are too many, as many as are admitted, in the order in
//! which they are first counted in. All workers agree on which those are. What is not admitted is counted in rows that
//! tell the outcome and nothing else, so that sums stay right.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::hash::{Hash, Hasher};

use filter_core::cells::{Cells, Step, Updated, update};
use filter_core::metrics::{
    Dimension, Family, InvalidMetric, LabelValue, Learned, MetricKind, Metrics,
};
use filter_core::{Count, Series};
use siphasher::sip::SipHasher13;

use crate::learned::Lesson;
use crate::notes::{Note, Notes};
use crate::series::{Place, Rows};

/// How often an entry is tried to be made while others make theirs.
const ATTEMPTS: u32 = 8;

/// One side of a metric's table, and what is left of its rows in a series that stands for many.
#[derive(Clone, Debug)]
pub(crate) struct Side {
    dimension: Dimension,
    /// For each row the one that stands for it there, as a position in `rest`; all in the first, if there are none.
    stands: Vec<usize>,
    rest: Vec<Vec<Option<LabelValue>>>,
}

impl Side {
    /// A side of which nothing is left but one row.
    pub(crate) fn collapsing(dimension: Dimension, rest: usize) -> Self {
        let left = dimension.values(rest).map(<[_]>::to_vec);
        // A learned side has no row yet.
        let left = left.unwrap_or_else(|| vec![LabelValue::parse("_other")]);
        Self { dimension, stands: Vec::new(), rest: vec![left] }
    }

    /// A side of which every row has one that stands for it.
    pub(crate) fn kept(dimension: Dimension, stands_for: &[usize]) -> Self {
        let mut rows: Vec<usize> = Vec::new();
        let mut stands = Vec::new();
        for row in stands_for {
            let position = rows.iter().position(|other| other == row);
            stands.push(position.unwrap_or(rows.len()));
            if position.is_none() {
                rows.push(*row);
            }
        }
        let values = |row: &usize| dimension.values(*row).map(<[_]>::to_vec).unwrap_or_default();
        let rest = rows.iter().map(values).collect();
        Self { dimension, stands, rest }
    }

    /// Whether the row is among those that stand for others.
    fn stands_for_itself(&self, row: usize) -> bool {
        let stands = self.stands.get(row).copied().unwrap_or_default();
        self.dimension.values(row) == self.rest.get(stands).map(Vec::as_slice)
    }

    /// A side that stays as it is.
    pub(crate) fn whole(dimension: Dimension) -> Self {
        let rows: Vec<usize> = (0..dimension.size()).collect();
        Self::kept(dimension, &rows)
    }
}

/// The series of one metric.
#[derive(Debug)]
pub(crate) struct Counted {
    name: &'static str,
    series: Kind,
}

#[derive(Debug)]
enum Kind {
    /// All that there could be: by known routes, and by learned ones.
    Product(Family, Option<Family>),
    /// As many as are admitted.
    Admitted(Box<Admission>),
}

#[derive(Debug)]
struct Admission {
    family: Family,
    known: Vec<Side>,
    learned: Vec<Side>,
    /// How many rows come before those that are admitted.
    rests: usize,
    places: Learned,
    /// The cell: made of the configuration alone.
    key: Vec<u8>,
    /// What this worker knows of the cell, which only ever grows.
    admitted: RefCell<BTreeMap<u64, usize>>,
}

/// What a metric is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Spec {
    pub(crate) name: &'static str,
    pub(crate) kind: MetricKind,
    pub(crate) buckets: &'static [u64],
}

impl Counted {
    /// Declares a metric: all of its series, unless they are more than `most`, and then so many.
    pub(crate) fn declare(
        spec: Spec,
        (known, learned): (Vec<Side>, Option<Vec<Side>>),
        most: Option<usize>,
        metrics: &mut Metrics,
    ) -> Result<Self, InvalidMetric> {
        let Spec { name, kind, buckets } = spec;
        let learned_size = learned.as_deref().map_or(0, size);
        let all = size(&known).saturating_add(learned_size);
        let most = most.filter(|most| u64::try_from(*most).is_ok_and(|most| all > most));
        let Some(most) = most else {
            let dimensions = |sides: Vec<Side>| sides.into_iter().map(|side| side.dimension);
            let mut declare =
                |sides| metrics.family(name, kind, dimensions(sides).collect(), buckets);
            let known = declare(known)?;
            let learned = learned.map(declare).transpose()?;
            return Ok(Self { name, series: Kind::Product(known, learned) });
        };
        let labels = known.iter().flat_map(|side| side.dimension.labels().to_vec()).collect();
        let rows = rests(&known);
        let rests = rows.len();
        let mut hasher = SipHasher13::new();
        // Whatever changes what a place means.
        (name, most, format!("{known:?}{learned:?}")).hash(&mut hasher);
        let key = [b"ts:", &hasher.finish().to_be_bytes()[..]].concat();
        let places = Learned::with_room(most);
        let dimension = Dimension::learned(labels, rows, &places);
        let family = metrics.family(name, kind, vec![dimension], buckets)?;
        let learned = learned.unwrap_or_default();
        let admitted = RefCell::default();
        let admission = Admission { family, known, learned, rests, places, key, admitted };
        Ok(Self { name, series: Kind::Admitted(Box::new(admission)) })
    }

    /// Its name, if not all of its series are admitted.
    pub(crate) fn limited(&self) -> Option<&'static str> {
        matches!(self.series, Kind::Admitted(_)).then_some(self.name)
    }

    /// The families of its series, and how many series, the first ones of all, stand for what is not admitted.
    pub(crate) fn families(&self) -> (Vec<u16>, usize) {
        match &self.series {
            Kind::Product(known, learned) => (
                [Some(known), learned.as_ref()].into_iter().flatten().map(Family::index).collect(),
                0,
            ),
            Kind::Admitted(admission) => (vec![admission.family.index()], admission.rests),
        }
    }

    /// The series of these rows, as far as it is told by them.
    pub(crate) fn series(
        &self,
        rows: &Rows,
        cells: &dyn Cells,
        notes: &Notes,
        counts: &mut Vec<Count>,
    ) -> Series {
        match (&self.series, rows.place()) {
            (Kind::Product(family, _), Place::Known(_))
            | (Kind::Product(_, Some(family)), Place::Learned(..)) => family.series(rows.all()),
            // Nothing is learned that there is no family for.
            (Kind::Product(family, None), Place::Learned(_, row)) => {
                family.series_at([row].into_iter().chain(rows.others().iter().copied()))
            }
            (Kind::Admitted(admission), _) => {
                let (series, note) = admission.series(rows, cells);
                counts.extend(note.and_then(|note| notes.count(self.name, note)));
                series
            }
        }
    }
}

impl Admission {
    /// The series of these rows, and what is to be noted if they are not admitted.
    #[inline(never)]
    fn series(&self, rows: &Rows, cells: &dyn Cells) -> (Series, Option<Note>) {
        let (sides, from) = match rows.place() {
            Place::Known(_) => (&self.known, 0),
            Place::Learned(..) => (&self.learned, size(&self.known)),
        };
        let rows = rows.all();
        let rest = || self.family.series(&[rest(sides, rows)]);
        // What stands for others may be counted in by itself. It needs no place.
        if sides.iter().zip(rows).all(|(side, row)| side.stands_for_itself(*row)) {
            return (rest(), None);
        }
        match self.admit(from.saturating_add(number(sides, rows)), cells) {
            Lesson::Known(place) | Lesson::New(place) => (self.at(place, sides, rows), None),
            Lesson::Full => (rest(), Some(Note::Overflow)),
            Lesson::Lost => (rest(), Some(Note::Lost)),
        }
    }

    /// The series at a place that was admitted.
    fn at(&self, place: usize, sides: &[Side], rows: &[usize]) -> Series {
        if self.places.values(place).is_none() {
            let values =
                sides.iter().zip(rows).filter_map(|(side, row)| side.dimension.values(*row));
            self.places.learn(place, values.flatten().cloned().collect());
        }
        self.family.series(&[self.rests.saturating_add(place)])
    }

    fn admit(&self, number: u64, cells: &dyn Cells) -> Lesson {
        let Ok(mut admitted) = self.admitted.try_borrow_mut() else { return Lesson::Lost };
        let room = self.places.room();
        if let Some(place) = admitted.get(&number) {
            return Lesson::Known(*place);
        }
        if admitted.len() >= room {
            return Lesson::Full;
        }
        let lesson = update(cells, &self.key, ATTEMPTS, |held| {
            let held = held.unwrap_or_default();
            let entries = held.as_chunks().0.iter().map(|entry| u64::from_be_bytes(*entry));
            let known = admitted.len();
            admitted.extend(entries.zip(0..).skip(known));
            match admitted.get(&number) {
                Some(place) => Step::Keep(Lesson::Known(*place)),
                None if admitted.len() >= room => Step::Keep(Lesson::Full),
                None => {
                    let more = [held, &number.to_be_bytes()].concat();
                    Step::Replace(more, Lesson::New(admitted.len()))
                }
            }
        });
        match lesson {
            Updated::Done(lesson) => {
                if let Lesson::New(place) = lesson {
                    admitted.insert(number, place);
                }
                lesson
            }
            Updated::Contended | Updated::Unavailable => Lesson::Lost,
        }
    }
}

/// How many series the product of these sides has.
fn size(sides: &[Side]) -> u64 {
    let sizes = sides.iter().map(|side| u64::try_from(side.dimension.size()).unwrap_or(u64::MAX));
    sizes.fold(1, u64::saturating_mul)
}

/// The number of a combination of rows.
fn number(sides: &[Side], rows: &[usize]) -> u64 {
    let mut number = 0_u64;
    for (side, row) in sides.iter().zip(rows).rev() {
        let size = u64::try_from(side.dimension.size()).unwrap_or(u64::MAX);
        let row = u64::try_from(*row).unwrap_or_default();
        number = number.wrapping_mul(size).wrapping_add(row);
    }
    number
}

/// Every row that stands for others.
fn rests(sides: &[Side]) -> Vec<Vec<Option<LabelValue>>> {
    let mut rows = vec![Vec::new()];
    for side in sides.iter().rev() {
        let with = |end: &Vec<Option<LabelValue>>| {
            side.rest.iter().map(|begin| [&begin[..], end].concat()).collect::<Vec<_>>()
        };
        rows = rows.iter().flat_map(with).collect();
    }
    rows
}

/// The one that stands for a combination, as [`rests`] numbers them. Both of a learned route's sides have one row, as
/// that of a known one has.
fn rest(sides: &[Side], rows: &[usize]) -> usize {
    let mut number = 0_usize;
    for (side, row) in sides.iter().zip(rows).rev() {
        let stands = side.stands.get(*row).copied().unwrap_or_default();
        number = number.saturating_mul(side.rest.len()).saturating_add(stands);
    }
    number
}

#[cfg(test)]
mod tests;
