//! What one cell of the table holds: a few keys, and what each owes in each window of the rule.
//!
//! A rule with one window writes the mark `ORL\x01` and entries of a fingerprint and a TAT. A rule with several writes
//! `ORL\x02`, their number, an id for each, the floor of each, and entries of a fingerprint and a TAT for each. All
//! numbers are little-endian. A cell that an earlier configuration wrote for other windows is read into these.

use crate::limit::{MAX_WINDOWS, Tats};

/// As many numbers as a key has at most.
const MAX_COLUMNS: usize = MAX_WINDOWS + 1;

/// How many keys a slot has room for.
pub const KEYS_PER_SLOT: usize = 8;

const ONE: [u8; 4] = *b"ORL\x01";
const SEVERAL: [u8; 4] = *b"ORL\x02";

/// The windows of the keys in a slot, by their ids.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    ids: [u32; MAX_COLUMNS],
    windows: usize,
}

impl Layout {
    /// The layout for windows of these ids, at most five of them.
    #[must_use]
    pub fn of(ids: &[u32]) -> Self {
        let mut layout = Self { ids: [0; MAX_COLUMNS], windows: ids.len().clamp(1, MAX_COLUMNS) };
        layout.ids.iter_mut().zip(ids).for_each(|(to, from)| *to = *from);
        layout
    }

    /// The same with one column more.
    #[must_use]
    pub(crate) fn with(self, id: u32) -> Self {
        Self::of(&[self.ids(), &[id]].concat())
    }

    fn ids(&self) -> &[u32] {
        self.ids.get(..self.windows).unwrap_or_default()
    }

    fn stride(self) -> usize {
        self.windows.saturating_add(1).saturating_mul(8)
    }

    /// Where the entries begin.
    fn header(self) -> usize {
        if self.windows == 1 {
            ONE.len()
        } else {
            self.windows.saturating_mul(12).saturating_add(8)
        }
    }

    /// The beginning of an empty slot.
    fn empty(self) -> Vec<u8> {
        if self.windows == 1 {
            return ONE.to_vec();
        }
        let mut bytes = SEVERAL.to_vec();
        bytes.extend(u32::try_from(self.windows).unwrap_or_default().to_le_bytes());
        self.ids().iter().for_each(|id| bytes.extend(id.to_le_bytes()));
        bytes.resize(self.header(), 0);
        bytes
    }

    /// The layout that these bytes were written in, if they are a slot.
    fn read(bytes: &[u8]) -> Option<Self> {
        let layout = if bytes.starts_with(&ONE) {
            Self::of(&[0])
        } else {
            let rest = bytes.strip_prefix(&SEVERAL)?;
            let (count, rest) = rest.split_first_chunk::<4>()?;
            let count = usize::try_from(u32::from_le_bytes(*count)).ok()?;
            (2..=MAX_COLUMNS).contains(&count).then_some(())?;
            let ids = rest.as_chunks::<4>().0.get(..count)?;
            let ids: Vec<u32> = ids.iter().map(|id| u32::from_le_bytes(*id)).collect();
            Self::of(&ids)
        };
        let entries = bytes.len().checked_sub(layout.header())?;
        let whole = entries.checked_rem(layout.stride()) == Some(0);
        let fits = entries <= layout.stride().saturating_mul(KEYS_PER_SLOT);
        (whole && fits).then_some(layout)
    }
}

/// The keys of one cell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Slot {
    layout: Layout,
    bytes: Vec<u8>,
}

/// Where a key is, or would be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seat {
    /// What the key owes: its own debt, else the one that it takes over, else none.
    pub tats: Tats,
    /// Whether the key is in the slot.
    pub own: bool,
    /// Its entry, or the one whose place it takes; none if there is room for one more.
    index: Option<usize>,
}

impl Slot {
    /// The slot in these bytes, for windows in this layout. What is not one of ours reads as an empty slot: other
    /// plugins share the store.
    #[must_use]
    pub fn parse(layout: Layout, bytes: Option<Vec<u8>>) -> Self {
        let Some((bytes, written)) = bytes.and_then(|bytes| {
            let written = Layout::read(&bytes)?;
            Some((bytes, written))
        }) else {
            return Self { layout, bytes: layout.empty() };
        };
        if written == layout || written.windows == 1 && layout.windows == 1 {
            return Self { layout, bytes };
        }
        Self { layout: written, bytes }.into_layout(layout)
    }

    /// The same keys in other windows. A window keeps its debt by its id. One that was not there before, or of which
    /// that cannot be told, begins with the largest debt that belongs to no window any more: nothing is forgiven that
    /// may still be owed.
    fn into_layout(self, layout: Layout) -> Self {
        let translate = |tats: &Tats| {
            let old = || self.layout.ids().iter().zip(tats);
            let known = self.layout.windows > 1;
            let gone = old().filter(|(id, _)| !(known && layout.ids().contains(id)));
            let gone = gone.map(|(_, tat)| *tat).max().unwrap_or(0);
            let mut new = [0; MAX_COLUMNS];
            for (tat, id) in new.iter_mut().zip(layout.ids()) {
                let kept = old().find(|(old, _)| known && *old == id).map(|(_, tat)| *tat);
                *tat = kept.unwrap_or(gone);
            }
            new
        };
        let mut slot = Self { layout, bytes: layout.empty() };
        slot.raise_floor(&translate(&self.floor()));
        for index in 0..self.len() {
            let Some(key) = self.fingerprint(index) else { continue };
            slot.append(key, &translate(&self.tats(index)));
        }
        slot
    }

    /// The bytes to store.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Where a key is, or would be: in the place of the one that owes least, if there is no room.
    #[must_use]
    pub fn seat(&self, fingerprint: u64) -> Seat {
        let length = self.len();
        if let Some(index) = (0..length).find(|index| self.fingerprint(*index) == Some(fingerprint))
        {
            return Seat { tats: self.tats(index), own: true, index: Some(index) };
        }
        if length < KEYS_PER_SLOT {
            return Seat { tats: [0; MAX_COLUMNS], own: false, index: None };
        }
        // By the longest of its debts: of one window, that is the debt.
        let longest = |index: &usize| self.tats(*index).into_iter().max();
        let index = (0..length).min_by_key(longest).unwrap_or_default();
        let mut tats = self.tats(index);
        tats.iter_mut().zip(self.floor()).for_each(|(tat, floor)| *tat = floor.max(*tat));
        Seat { tats, own: false, index: Some(index) }
    }

    /// Writes what a key owes into its seat. Whoever loses a place to it leaves its debt as the floor of all newcomers.
    pub fn write(&mut self, fingerprint: u64, seat: &Seat, tats: &Tats) {
        let Some(index) = seat.index else { return self.append(fingerprint, tats) };
        if !seat.own {
            self.raise_floor(&self.tats(index));
        }
        let (at, windows) = (self.at(index), self.layout.windows);
        let words = std::iter::once(&fingerprint).chain(tats.iter().take(windows));
        let entry = self.bytes.get_mut(at..).unwrap_or_default().as_chunks_mut::<8>().0;
        entry.iter_mut().zip(words).for_each(|(to, word)| *to = word.to_le_bytes());
    }

    /// Whether writing into this seat takes the place of a key that still owes something at `now`.
    #[must_use]
    pub fn evicts(&self, seat: &Seat, now: u64) -> bool {
        let owes = |index| self.tats(index).iter().any(|tat| *tat > now);
        !seat.own && seat.index.is_some_and(owes)
    }

    /// What no key may come to owe less than by taking back: one that was evicted may have owed as much.
    #[must_use]
    pub fn least(&self, fingerprint: u64) -> Tats {
        if self.len() < KEYS_PER_SLOT {
            return [0; MAX_COLUMNS];
        }
        if self.layout.windows > 1 {
            return self.floor();
        }
        let others = (0..self.len()).filter(|index| self.fingerprint(*index) != Some(fingerprint));
        let mut least = [0; MAX_COLUMNS];
        if let ([first, ..], Some(tat)) =
            (&mut least, others.filter_map(|index| self.tats(index).first().copied()).min())
        {
            *first = tat;
        }
        least
    }

    fn append(&mut self, fingerprint: u64, tats: &Tats) {
        self.bytes.extend(fingerprint.to_le_bytes());
        for tat in tats.iter().take(self.layout.windows) {
            self.bytes.extend(tat.to_le_bytes());
        }
    }

    /// How many keys there are.
    fn len(&self) -> usize {
        let entries = self.bytes.len().saturating_sub(self.layout.header());
        entries.checked_div(self.layout.stride()).unwrap_or(0)
    }

    fn at(&self, index: usize) -> usize {
        self.layout.header().saturating_add(index.saturating_mul(self.layout.stride()))
    }

    fn word(&self, at: usize) -> Option<u64> {
        self.bytes.get(at..)?.first_chunk().map(|word| u64::from_le_bytes(*word))
    }

    fn fingerprint(&self, index: usize) -> Option<u64> {
        self.word(self.at(index))
    }

    fn tats(&self, index: usize) -> Tats {
        self.words(self.at(index).saturating_add(8))
    }

    /// What evicted keys owed at most. One window needs no such memory: there, the smallest debt never falls.
    fn floor(&self) -> Tats {
        if self.layout.windows == 1 {
            return [0; MAX_COLUMNS];
        }
        self.words(self.layout.windows.saturating_mul(4).saturating_add(8))
    }

    fn raise_floor(&mut self, to: &Tats) {
        let windows = self.layout.windows;
        if windows == 1 {
            return;
        }
        let at = windows.saturating_mul(4).saturating_add(8);
        let words = self.bytes.get_mut(at..).unwrap_or_default().as_chunks_mut::<8>().0;
        for (word, to) in words.iter_mut().zip(to).take(windows) {
            *word = u64::from_le_bytes(*word).max(*to).to_le_bytes();
        }
    }

    /// As many numbers as there are windows.
    fn words(&self, at: usize) -> Tats {
        let words = self.bytes.get(at..).unwrap_or_default().as_chunks::<8>().0;
        let mut tats = [0; MAX_COLUMNS];
        let pairs = tats.iter_mut().zip(words).take(self.layout.windows);
        pairs.for_each(|(tat, word)| *tat = u64::from_le_bytes(*word));
        tats
    }
}

#[cfg(test)]
mod tests;
