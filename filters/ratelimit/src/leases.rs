//! What one cell of the table of leases holds: a few keys, and how many of each one's requests every worker has in
//! flight, and until when that is believed of it.
//!
//! The bytes are the mark `ORF\x01` and entries of a fingerprint, a holder, a time and a count, all little-endian. A cell
//! has room for eight keys. Whoever finds none counts among [`OTHERS`], who may be anybody: so each key has as many
//! requests in flight as are written under its name and under theirs, at most.

/// How many keys a cell has room for.
const KEYS: usize = 8;

/// The fingerprint of all keys that found no room of their own.
pub(crate) const OTHERS: u64 = 0;

const MARK: [u8; 4] = *b"ORF\x01";
const ENTRY: usize = 28;

/// Requests in flight, as a cell has them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Leases {
    entries: Vec<Entry>,
    /// How many were written, and are believed no more.
    pub(crate) expired: u64,
}

/// The requests of one key that one worker has in flight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Entry {
    fingerprint: u64,
    holder: u64,
    /// From this tick on they are none.
    until: u64,
    count: u32,
}

impl Leases {
    /// What these bytes say at `now`. What is not one of ours reads as an empty cell: other plugins share the store.
    pub(crate) fn parse(bytes: Option<&[u8]>, now: u64) -> Self {
        let rest = bytes.and_then(|bytes| bytes.strip_prefix(&MARK)).unwrap_or_default();
        let (chunks, []) = rest.as_chunks::<ENTRY>() else { return Self::default() };
        let mut leases = Self { entries: Vec::with_capacity(chunks.len() + 1), expired: 0 };
        for entry in chunks.iter().map(Entry::read) {
            if entry.until > now {
                leases.entries.push(entry);
            } else {
                leases.expired = leases.expired.saturating_add(u64::from(entry.count));
            }
        }
        leases
    }

    /// The bytes to store.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(MARK.len() + self.entries.len() * ENTRY);
        bytes.extend(MARK);
        for entry in &self.entries {
            bytes.extend(entry.fingerprint.to_le_bytes());
            bytes.extend(entry.holder.to_le_bytes());
            bytes.extend(entry.until.to_le_bytes());
            bytes.extend(entry.count.to_le_bytes());
        }
        bytes
    }

    /// Under which fingerprint a new request of a key is written: its own, or that of the others if there is no room.
    pub(crate) fn seat(&self, fingerprint: u64) -> u64 {
        let mut keys: Vec<u64> = self.entries.iter().map(|entry| entry.fingerprint).collect();
        if keys.contains(&fingerprint) {
            return fingerprint;
        }
        keys.retain(|key| *key != OTHERS);
        keys.sort_unstable();
        keys.dedup();
        if keys.len() < KEYS { fingerprint } else { OTHERS }
    }

    /// How many requests are in flight under this fingerprint, but for those of one holder.
    pub(crate) fn besides(&self, holder: u64, fingerprint: u64) -> u64 {
        let counted = |entry: &&Entry| entry.fingerprint == fingerprint && entry.holder != holder;
        self.entries.iter().filter(counted).map(|entry| u64::from(entry.count)).sum()
    }

    /// Until when what a holder wrote under this fingerprint is believed; 0 if it wrote nothing.
    pub(crate) fn until(&self, fingerprint: u64, holder: u64) -> u64 {
        let own = |entry: &&Entry| (entry.fingerprint, entry.holder) == (fingerprint, holder);
        self.entries.iter().find(own).map_or(0, |entry| entry.until)
    }

    /// Writes how many of a key's requests a holder has in flight; none for good, others until `until`.
    pub(crate) fn set(&mut self, fingerprint: u64, holder: u64, count: u32, until: u64) {
        self.entries.retain(|entry| (entry.fingerprint, entry.holder) != (fingerprint, holder));
        if count > 0 {
            self.entries.push(Entry { fingerprint, holder, until, count });
        }
    }
}

impl Entry {
    fn read(bytes: &[u8; ENTRY]) -> Self {
        let word = |at: usize| {
            let chunk = bytes.get(at..).and_then(|rest| rest.first_chunk());
            chunk.map_or(0, |chunk| u64::from_le_bytes(*chunk))
        };
        let count = bytes.last_chunk().map_or(0, |chunk| u32::from_le_bytes(*chunk));
        Self { fingerprint: word(0), holder: word(8), until: word(16), count }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_not_ours_reads_as_empty() {
        let mut own = Leases::default();
        own.set(7, 1, 3, 10);
        assert_eq!(Leases::parse(Some(&own.bytes()), 0), own);
        let short = own.bytes().split_last().map(|(_, rest)| rest.to_vec()).unwrap();
        for garbage in [vec![], b"O".to_vec(), b"ORF\x02".to_vec(), vec![b'x'; 32], short] {
            assert_eq!(Leases::parse(Some(&garbage), 0), Leases::default(), "{garbage:?}");
        }
    }

    #[test]
    fn a_lease_that_is_over_is_none_and_is_counted() {
        let mut leases = Leases::default();
        leases.set(7, 1, 3, 10);
        leases.set(7, 2, 1, 20);
        let bytes = leases.bytes();
        let at = |now| {
            let leases = Leases::parse(Some(&bytes), now);
            (leases.besides(0, 7), leases.expired)
        };
        assert_eq!([at(9), at(10), at(20)], [(4, 0), (1, 3), (0, 4)]);
    }

    #[test]
    fn whoever_finds_no_room_is_one_of_the_others() {
        let mut leases = Leases::default();
        (1..=8).for_each(|key| leases.set(key, 1, 1, 10));
        leases.set(OTHERS, 1, 1, 10);
        assert_eq!((leases.seat(8), leases.seat(9)), (8, OTHERS));
        leases.set(3, 1, 0, 10);
        assert_eq!(leases.seat(9), 9);
    }

    proptest! {
        #[test]
        fn each_holder_writes_its_own(writes in prop::collection::vec((0_u64..4, 0_u64..4, 0_u32..3), 0..40)) {
            let mut leases = Leases::default();
            let mut model = std::collections::BTreeMap::new();
            for (key, holder, count) in writes {
                leases.set(key, holder, count, 10);
                model.insert((key, holder), u64::from(count));
                for key in 0..4 {
                    let sum: u64 = model.iter().filter(|((k, h), _)| *k == key && *h != 2).map(|(_, n)| *n).sum();
                    prop_assert_eq!(leases.besides(2, key), sum);
                }
                prop_assert_eq!(&Leases::parse(Some(&leases.bytes()), 9), &leases);
            }
        }

        #[test]
        fn no_bytes_break_a_cell(bytes in prop::collection::vec(any::<u8>(), 0..200), now: u64) {
            let bytes = [&MARK[..], &bytes].concat();
            let mut leases = Leases::parse(Some(&bytes), now);
            leases.set(5, 6, 1, u64::MAX);
            prop_assert!(leases.besides(0, 5) >= 1);
        }
    }
}
