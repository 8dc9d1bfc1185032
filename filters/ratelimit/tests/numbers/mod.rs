//! Numbers that must come out alike on every target.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::num::NonZeroU64;
use std::time::Duration;

use filter_core::Rule;
use ratelimit::debt::Debt;
use ratelimit::gcra::{Gcra, NEVER, Ruling, TICKS_PER_SECOND, ticks};
use ratelimit::limit::{Debts, Window};
use ratelimit::seed::Seed;
use ratelimit::slot::{Layout, Slot};
use ratelimit::table::{Contents, SLOTS, Table};

/// Nothing if it is admitted; if not, milliseconds to wait, and none if that is in vain.
type Told = Result<(), Option<u64>>;

/// Milliseconds, cost; tokens left and milliseconds until the bucket is full afterwards; what is told. The table of
/// throttled (`TestRateLimit`) and redis-cell (`it_rate_limits`) for five tokens, one a second.
const RATE_LIMIT: [(u64, u64, u64, u64, Told); 16] = [
    (0, 6, 5, 0, Err(None)),
    (0, 1, 4, 1000, Ok(())),
    (0, 1, 3, 2000, Ok(())),
    (0, 1, 2, 3000, Ok(())),
    (0, 1, 1, 4000, Ok(())),
    (0, 1, 0, 5000, Ok(())),
    (0, 1, 0, 5000, Err(Some(1000))),
    (3000, 1, 2, 3000, Ok(())),
    (3100, 1, 1, 3900, Ok(())),
    (4000, 1, 1, 4000, Ok(())),
    (8000, 1, 4, 1000, Ok(())),
    (9500, 1, 4, 1000, Ok(())),
    (9500, 0, 4, 1000, Ok(())),
    (9500, 2, 2, 3000, Ok(())),
    (9500, 5, 2, 3000, Err(Some(3000))),
    (15_000, 6, 5, 0, Err(None)),
];

/// The algorithm agrees with throttled and redis-cell.
pub(crate) fn the_rate_is_that_of_throttled_and_redis_cell() {
    let window = Window::bucket(5, 1, Duration::from_secs(1)).unwrap();
    let millis = |millis| ticks(Duration::from_millis(millis));
    let mut debt = Debt::default();
    for (now, cost, left, full, expected) in RATE_LIMIT {
        let found = match window.gcra.decide(debt.tat, millis(now), cost) {
            Ruling::Admit { tat, remaining } => {
                debt = Debt { tat, token: window.gcra.token() };
                assert_eq!(remaining, left, "{now} ms");
                Ok(())
            }
            Ruling::Refuse { retry_after } => Err(retry_after),
        };
        assert_eq!(found, expected.map_err(|wait| wait.map_or(NEVER, millis)), "{now} ms");
        assert_eq!(window.left(&debt, millis(now)).0, left, "{now} ms");
        assert_eq!(debt.owed(millis(now)), millis(full), "{now} ms");
    }
}

/// A token's time is rounded up to a whole tick.
pub(crate) fn a_third_of_a_second_is_rounded_up() {
    let limit = Gcra::new(1, 3, Duration::from_secs(1)).unwrap();
    assert_eq!(limit.charge(1), Some(21_333_333_334));
    assert_eq!(limit.charge(3), Some(TICKS_PER_SECOND + 2));
}

/// A key has the same place in every module of whatever build, while its seed lives.
pub(crate) fn a_key_has_one_place() {
    let seed = Seed::new(*b"0123456789abcdef", Duration::from_secs(1));
    let table = |slots| Table::new(&Rule::parse("per-client").unwrap(), Contents::Debts, slots);
    let mut hasher = seed.hasher();
    hasher.number(1);
    hasher.field(b"10.0.0.1");
    let place = table(SLOTS).place(hasher.clone());
    assert_eq!(place.cell, *b"orl1\x18\x9f\xe0\xc7\x9a\x2e\x7a\x34\x01\x2b");
    assert_eq!(place.fingerprint, 7_608_719_704_499_214_688);
    let single = table(NonZeroU64::MIN).place(hasher);
    assert_eq!(single.cell, *b"orl1\x18\x9f\xe0\xc7\x9a\x2e\x7a\x34\0\0");
    assert_eq!(single.fingerprint, place.fingerprint);
}

fn owes(debts: &[(u64, u64)]) -> Debts {
    let mut all = Debts::default();
    all.iter_mut()
        .zip(debts)
        .for_each(|(to, (tat, token))| *to = Debt { tat: *tat, token: *token });
    all
}

/// A cell is written in one layout.
pub(crate) fn a_slot_has_one_layout() {
    let mut slot = Slot::parse(Layout::of(&[1]), None, 0);
    for (key, tat) in [(0x0102_0304_0506_0708, 9), (u64::MAX, u64::MAX - 1)] {
        let seat = slot.seat(key);
        slot.write(key, &seat, &owes(&[(tat, 64)]), 0);
    }
    let written = b"ORL\x03\x01\0\0\0\x01\0\0\0\
        \0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\
        \x08\x07\x06\x05\x04\x03\x02\x01\x09\0\0\0\0\0\0\0\x40\0\0\0\0\0\0\0\
        \xff\xff\xff\xff\xff\xff\xff\xff\xfe\xff\xff\xff\xff\xff\xff\xff\x40\0\0\0\0\0\0\0";
    assert_eq!(slot.as_bytes(), written);
    let read = Slot::parse(Layout::of(&[1]), Some(written.to_vec()), 0);
    assert_eq!(read.seat(u64::MAX).debts, owes(&[(u64::MAX - 1, 64)]));
}

/// A cell of several windows too.
pub(crate) fn a_slot_of_several_windows_has_one_layout() {
    let mut slot = Slot::parse(Layout::of(&[1000, 60_000]), None, 0);
    let seat = slot.seat(7);
    slot.write(7, &seat, &owes(&[(8, 64), (9, 65)]), 0);
    let written = b"ORL\x03\x02\0\0\0\xe8\x03\0\0\x60\xea\0\0\
        \0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\
        \x07\0\0\0\0\0\0\0\x08\0\0\0\0\0\0\0\x40\0\0\0\0\0\0\0\
        \x09\0\0\0\0\0\0\0\x41\0\0\0\0\0\0\0";
    assert_eq!(slot.as_bytes(), written);
}
