//! When the next batch is sent: by the clock, and after a failure later and later.

use std::time::Duration;

/// How long to wait after the first failure; twice as long after each further one.
pub(super) const FIRST: Duration = Duration::from_secs(1);
/// How long to wait at most.
const LONGEST: Duration = Duration::from_secs(30);
/// How often a batch is sent at most.
const ATTEMPTS: u32 = 5;

/// When to send.
#[derive(Debug, Default)]
pub(super) struct Schedule {
    /// Not before this time.
    due: Duration,
    /// How often the present batch was sent.
    attempts: u32,
    /// Whether an answer is awaited.
    awaiting: bool,
}

/// What comes of a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// It is tried again later.
    Again,
    /// It was tried often enough.
    GiveUp,
}

impl Schedule {
    /// Whether to send now. An answer that is awaited comes, if only as a failure when time is up.
    pub(super) fn is_due(&self, now: Duration) -> bool {
        !self.awaiting && now >= self.due
    }

    /// A batch was sent.
    pub(super) fn sent(&mut self, now: Duration) {
        *self = Self { due: now, attempts: self.attempts.saturating_add(1), awaiting: true };
    }

    /// The batch is done with, and the next is sent after `delay`.
    pub(super) fn succeeded(&mut self, now: Duration, delay: Duration) {
        *self = Self { due: now.saturating_add(delay), attempts: 0, awaiting: false };
    }

    /// The batch was not taken. The wait is between half and the whole of what it could be, so that workers part, and no
    /// shorter than the collector asks.
    pub(super) fn failed(
        &mut self,
        now: Duration,
        asked: Option<Duration>,
        seed: [u8; 16],
    ) -> Next {
        self.awaiting = false;
        if self.attempts >= ATTEMPTS {
            return Next::GiveUp;
        }
        let doubled = 1_u32.checked_shl(self.attempts.saturating_sub(1)).unwrap_or(u32::MAX);
        let whole = FIRST.saturating_mul(doubled).min(LONGEST);
        let [chance, ..] = seed;
        let part = whole.saturating_mul(256_u32.saturating_add(chance.into())) / 512;
        let asked = asked.unwrap_or_default().min(LONGEST);
        self.due = now.saturating_add(part.max(asked));
        Next::Again
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_until_it_is_given_up() {
        let mut schedule = Schedule::default();
        let mut now = Duration::ZERO;
        for seconds in [1, 2, 4, 8] {
            assert!(schedule.is_due(now));
            schedule.sent(now);
            assert!(!schedule.is_due(now + Duration::from_secs(100)), "an answer is awaited");
            assert_eq!(schedule.failed(now, None, [255; 16]), Next::Again);
            let whole = Duration::from_secs(seconds);
            assert!(!schedule.is_due(now + whole / 2));
            assert!(schedule.is_due(now + whole));
            now += whole;
        }
        schedule.sent(now);
        assert_eq!(schedule.failed(now, None, [0; 16]), Next::GiveUp);
    }

    #[test]
    fn a_collector_that_asks_for_time_gets_it() {
        for (asked, waited) in [(7, 7), (1000, 30)] {
            let mut schedule = Schedule::default();
            schedule.sent(Duration::ZERO);
            schedule.failed(Duration::ZERO, Some(Duration::from_secs(asked)), [0; 16]);
            assert!(!schedule.is_due(Duration::from_secs(waited - 1)));
            assert!(schedule.is_due(Duration::from_secs(waited)));
        }
    }
}
