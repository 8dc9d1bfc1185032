//! How a board is written in a cell.

use super::board::{Board, Phase, Record, SLICES};
use super::judge::Tally;

/// What every such cell begins with; the number is the layout's.
const MAGIC: [u8; 4] = *b"ORG\x01";

impl Board {
    /// What a cell holds. What is no board says nothing.
    pub(crate) fn parse(bytes: Option<&[u8]>) -> Self {
        bytes.and_then(read).unwrap_or_default()
    }

    /// What a cell is to hold.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let mut bytes = MAGIC.to_vec();
        bytes.extend(self.slice.to_le_bytes());
        bytes.extend(self.newest.to_le_bytes());
        for record in &self.records {
            // Names have at most 64 bytes.
            bytes.push(u8::try_from(record.name.len()).unwrap_or(u8::MAX));
            bytes.extend(record.name.bytes().take(usize::from(u8::MAX)));
            let (tag, ejections, time, seen) = match record.phase {
                Phase::Whole { since, ejections } => (0, ejections, since, Tally::default()),
                Phase::Ejected { until, ejections } => (1, ejections, until, Tally::default()),
                Phase::Probing { seen, ejections } => (2, ejections, 0, seen),
            };
            bytes.push(tag);
            bytes.extend(record.epoch.to_le_bytes());
            bytes.extend(ejections.to_le_bytes());
            bytes.extend(time.to_le_bytes());
            bytes.extend(record.touched.to_le_bytes());
            for tally in std::iter::once(&seen).chain(&record.window) {
                for number in [tally.requests, tally.failed, tally.slow] {
                    bytes.extend(number.to_le_bytes());
                }
            }
        }
        bytes
    }
}

fn read(bytes: &[u8]) -> Option<Board> {
    let mut rest = bytes.strip_prefix(&MAGIC)?;
    let (slice, newest) = (long(&mut rest)?, long(&mut rest)?);
    let mut records = Vec::new();
    while !rest.is_empty() {
        records.push(record(&mut rest)?);
    }
    Some(Board { slice, newest, records })
}

fn record(rest: &mut &[u8]) -> Option<Record> {
    let [length] = chunk::<1>(rest)?;
    let (name, after) = rest.split_at_checked(usize::from(length))?;
    *rest = after;
    let name = std::str::from_utf8(name).ok()?.to_owned();
    let [tag] = chunk::<1>(rest)?;
    let (epoch, ejections) = (short(rest)?, short(rest)?);
    let (time, touched) = (long(rest)?, long(rest)?);
    let seen = tally(rest)?;
    let phase = match tag {
        0 => Phase::Whole { since: time, ejections },
        1 => Phase::Ejected { until: time, ejections },
        2 => Phase::Probing { seen, ejections },
        _ => return None,
    };
    let mut window = [Tally::default(); SLICES];
    for slice in &mut window {
        *slice = tally(rest)?;
    }
    Some(Record { name, epoch, phase, touched, window })
}

fn tally(rest: &mut &[u8]) -> Option<Tally> {
    Some(Tally { requests: short(rest)?, failed: short(rest)?, slow: short(rest)? })
}

fn short(rest: &mut &[u8]) -> Option<u32> {
    chunk(rest).map(u32::from_le_bytes)
}

fn long(rest: &mut &[u8]) -> Option<u64> {
    chunk(rest).map(u64::from_le_bytes)
}

fn chunk<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (chunk, after) = rest.split_first_chunk::<N>()?;
    *rest = after;
    Some(*chunk)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn tallies() -> impl Strategy<Value = Tally> {
        any::<(u32, u32, u32)>().prop_map(|(requests, failed, slow)| Tally {
            requests,
            failed,
            slow,
        })
    }

    fn records() -> impl Strategy<Value = Record> {
        let phase = prop_oneof![
            any::<(u64, u32)>().prop_map(|(since, ejections)| Phase::Whole { since, ejections }),
            any::<(u64, u32)>().prop_map(|(until, ejections)| Phase::Ejected { until, ejections }),
            (tallies(), any::<u32>())
                .prop_map(|(seen, ejections)| Phase::Probing { seen, ejections }),
        ];
        let window = prop::collection::vec(tallies(), SLICES);
        ("[a-z0-9./-]{1,64}", any::<u32>(), phase, any::<u64>(), window).prop_map(
            |(name, epoch, phase, touched, window)| Record {
                name,
                epoch,
                phase,
                touched,
                window: window.try_into().unwrap(),
            },
        )
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(slice: u64, newest: u64, records in prop::collection::vec(records(), 0..4)) {
            let board = Board { slice, newest, records };
            prop_assert_eq!(Board::parse(Some(&board.bytes())), board);
        }

        #[test]
        fn what_is_no_board_says_nothing(bytes: Vec<u8>, cut in 0_usize..200, records in prop::collection::vec(records(), 1..3)) {
            prop_assert_eq!(Board::parse(Some(&bytes)), Board::default());
            let mut whole = Board { slice: 1, newest: 2, records }.bytes();
            whole.truncate(whole.len() - 1 - cut % 100);
            prop_assert_eq!(Board::parse(Some(&whole)), Board::default());
        }
    }

    #[test]
    fn a_cell_that_is_not_there_says_nothing() {
        assert_eq!(Board::parse(None), Board::default());
    }
}
