//! What one cell of the table holds: a few keys, and what each owes in each window of the rule.
//!
//! The bytes are the mark `ORL\x03`, the number of windows, an id for each, the floor of each, and entries of a
//! fingerprint and a debt for each; a debt is a TAT and the time of a token. All numbers are little-endian. A cell that an
//! earlier configuration wrote for other windows is read into these.

use crate::debt::Debt;
use crate::limit::{Debts, MAX_WINDOWS};

/// As many debts as a key has at most.
const MAX_COLUMNS: usize = MAX_WINDOWS + 1;

/// How many keys a slot has room for.
pub const KEYS_PER_SLOT: usize = 8;

/// The id of the column that says until when a key is barred. It holds a time, no tokens.
pub(crate) const BARRED: u32 = u32::MAX;

const MARK: [u8; 4] = *b"ORL\x03";
const DEBT: usize = 16;

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
        self.windows.saturating_mul(DEBT).saturating_add(8)
    }

    /// Where the floor begins.
    fn floor(self) -> usize {
        self.windows.saturating_mul(4).saturating_add(8)
    }

    /// Where the entries begin.
    fn header(self) -> usize {
        self.windows.saturating_mul(DEBT).saturating_add(self.floor())
    }

    /// The beginning of an empty slot, with room for one entry.
    fn empty(self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.header().saturating_add(self.stride()));
        bytes.extend(MARK);
        bytes.extend(u32::try_from(self.windows).unwrap_or_default().to_le_bytes());
        self.ids().iter().for_each(|id| bytes.extend(id.to_le_bytes()));
        bytes.resize(self.header(), 0);
        bytes
    }

    /// The layout that these bytes were written in, if they are a slot.
    fn read(bytes: &[u8]) -> Option<Self> {
        let (count, rest) = bytes.strip_prefix(&MARK)?.split_first_chunk::<4>()?;
        let windows = usize::try_from(u32::from_le_bytes(*count)).ok()?;
        (1..=MAX_COLUMNS).contains(&windows).then_some(())?;
        let mut layout = Self { ids: [0; MAX_COLUMNS], windows };
        let ids = rest.as_chunks::<4>().0.get(..windows)?;
        layout.ids.iter_mut().zip(ids).for_each(|(to, id)| *to = u32::from_le_bytes(*id));
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
    /// What the key owes: its own debt, else what it may owe since it lost its place, else none.
    pub debts: Debts,
    /// Whether the key is in the slot.
    pub own: bool,
    /// Its entry, or the one whose place it takes; none if there is room for one more.
    index: Option<usize>,
}

impl Slot {
    /// The slot in these bytes, for windows in this layout, as of `now`. What is not one of ours reads as an empty slot:
    /// other plugins share the store.
    #[must_use]
    pub fn parse(layout: Layout, bytes: Option<Vec<u8>>, now: u64) -> Self {
        match bytes.and_then(|bytes| Some((Layout::read(&bytes)?, bytes))) {
            None => Self { layout, bytes: layout.empty() },
            Some((written, bytes)) if written == layout => Self { layout, bytes },
            Some((written, bytes)) => Self { layout: written, bytes }.into_layout(layout, now),
        }
    }

    /// The same keys in other windows. A window keeps its debt by its id. One that was not there before begins with the
    /// most tokens that were used in one that there is no more: nothing is forgiven that may still be owed.
    fn into_layout(self, layout: Layout, now: u64) -> Self {
        let translate = |debts: &Debts| {
            let old = || self.layout.ids().iter().zip(debts);
            let gone = old().filter(|(id, _)| **id != BARRED && !layout.ids().contains(id));
            let most = |most: Debt, debt: &Debt| if most.is_less(debt, now) { *debt } else { most };
            let gone = gone.map(|(_, debt)| debt).fold(Debt::default(), most);
            let mut new = Debts::default();
            for (debt, id) in new.iter_mut().zip(layout.ids()) {
                let kept = old().find(|(old, _)| *old == id).map(|(_, debt)| *debt);
                let none = if *id == BARRED { Debt::default() } else { gone };
                *debt = kept.unwrap_or(none);
            }
            new
        };
        let mut slot = Self { layout, bytes: layout.empty() };
        slot.raise_floor(&translate(&self.floor()), now);
        for index in 0..self.len() {
            let Some(key) = self.fingerprint(index) else { continue };
            slot.append(key, &translate(&self.debts(index)));
        }
        slot
    }

    /// The bytes to store.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Where a key is, or would be: in the place of the one that is first to owe nothing, if there is no room. It may owe
    /// what any key did that lost its place.
    #[must_use]
    pub fn seat(&self, fingerprint: u64) -> Seat {
        let length = self.len();
        if let Some(index) = (0..length).find(|index| self.fingerprint(*index) == Some(fingerprint))
        {
            return Seat { debts: self.debts(index), own: true, index: Some(index) };
        }
        if length < KEYS_PER_SLOT {
            return Seat { debts: Debts::default(), own: false, index: None };
        }
        let end = |index: &usize| self.debts(*index).iter().map(|debt| debt.tat).max();
        let index = (0..length).min_by_key(end).unwrap_or_default();
        Seat { debts: self.floor(), own: false, index: Some(index) }
    }

    /// Writes what a key owes into its seat. Whoever loses a place to it leaves its debt as the floor of all newcomers.
    pub fn write(&mut self, fingerprint: u64, seat: &Seat, debts: &Debts, now: u64) {
        let Some(index) = seat.index else { return self.append(fingerprint, debts) };
        if !seat.own {
            self.raise_floor(&self.debts(index), now);
        }
        let (at, windows) = (self.at(index), self.layout.windows);
        let debts = debts.iter().take(windows).flat_map(|debt| [debt.tat, debt.token]);
        let entry = self.bytes.get_mut(at..).unwrap_or_default().as_chunks_mut::<8>().0;
        let words = std::iter::once(fingerprint).chain(debts);
        entry.iter_mut().zip(words).for_each(|(to, word)| *to = word.to_le_bytes());
    }

    /// Whether writing into this seat takes the place of a key that still owes something at `now`.
    #[must_use]
    pub fn evicts(&self, seat: &Seat, now: u64) -> bool {
        let owes = |index| self.debts(index).iter().any(|debt| debt.owed(now) > 0);
        !seat.own && seat.index.is_some_and(owes)
    }

    fn append(&mut self, fingerprint: u64, debts: &Debts) {
        self.bytes.extend(fingerprint.to_le_bytes());
        for debt in debts.iter().take(self.layout.windows) {
            self.bytes.extend(debt.tat.to_le_bytes());
            self.bytes.extend(debt.token.to_le_bytes());
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

    fn fingerprint(&self, index: usize) -> Option<u64> {
        let chunk = self.bytes.get(self.at(index)..)?.first_chunk();
        chunk.map(|word| u64::from_le_bytes(*word))
    }

    fn debts(&self, index: usize) -> Debts {
        self.read(self.at(index).saturating_add(8))
    }

    /// What no key that lost its place owed more than.
    fn floor(&self) -> Debts {
        self.read(self.layout.floor())
    }

    fn raise_floor(&mut self, to: &Debts, now: u64) {
        let (mut floor, windows) = (self.floor(), self.layout.windows);
        floor.iter_mut().zip(to).for_each(|(floor, to)| *floor = floor.or(*to, now));
        let words = self.bytes.get_mut(self.layout.floor()..).unwrap_or_default();
        let words = words.as_chunks_mut::<8>().0.iter_mut();
        let debts = floor.iter().take(windows).flat_map(|debt| [debt.tat, debt.token]);
        words.zip(debts).for_each(|(to, word)| *to = word.to_le_bytes());
    }

    /// As many debts as there are windows.
    fn read(&self, at: usize) -> Debts {
        let words = self.bytes.get(at..).unwrap_or_default().as_chunks::<8>().0;
        let mut debts = Debts::default();
        for (debt, pair) in debts.iter_mut().zip(words.as_chunks::<2>().0).take(self.layout.windows)
        {
            let [tat, token] = pair.map(u64::from_le_bytes);
            *debt = Debt { tat, token };
        }
        debts
    }
}

#[cfg(test)]
mod tests;
