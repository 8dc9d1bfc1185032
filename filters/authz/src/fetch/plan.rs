//! When a document is fetched next, and who does it: agreed on by all workers in one cell.

use std::time::Duration;

/// When to fetch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Timing {
    /// How long an answer may take.
    pub(crate) timeout: Duration,
    /// How old a document gets before it is fetched anew.
    pub(crate) refresh: Duration,
    /// How much older it may get where that fails, before it is not used any more.
    pub(crate) max_stale: Duration,
}

impl Timing {
    /// How long after one attempt a wish may cause the next. A flood of wishes costs one fetch in this time.
    pub(crate) const COOL_DOWN: Duration = Duration::from_secs(10);
    /// The pause after a first failure; it doubles with each further one.
    const FIRST_PAUSE: Duration = Duration::from_secs(1);
    /// The longest pause after a failure.
    const LONGEST_PAUSE: Duration = Duration::from_secs(60);
    /// How much later than its timeout an answer may come.
    const GRACE: Duration = Duration::from_secs(1);
}

/// The state of a document, the same for all workers. Times are of the monotonic clock, in milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Plan {
    /// Which document is the current one; 0 before there is one.
    pub(crate) generation: u32,
    /// How many fetches have ended, well or badly.
    pub(crate) attempts: u32,
    /// How many of them failed since the last good one.
    failures: u32,
    /// When the current document came.
    fetched: u64,
    /// When the last attempt ended.
    tried: u64,
    /// When the next attempt may begin.
    next: u64,
    /// Until when somebody is at it.
    busy: u64,
}

impl Plan {
    const LAYOUT: u8 = 1;
    const SIZE: usize = 45;

    /// The bytes of the cell.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(Self::SIZE);
        bytes.push(Self::LAYOUT);
        for number in [self.generation, self.attempts, self.failures] {
            bytes.extend(number.to_le_bytes());
        }
        for number in [self.fetched, self.tried, self.next, self.busy] {
            bytes.extend(number.to_le_bytes());
        }
        bytes
    }

    /// The plan in a cell; a new one where there is none, or one of another layout.
    pub(crate) fn decode(cell: Option<&[u8]>) -> Self {
        let read = |bytes: &[u8]| -> Option<Self> {
            let rest = bytes.strip_prefix(&[Self::LAYOUT])?;
            let (generation, rest) = rest.split_first_chunk()?;
            let (attempts, rest) = rest.split_first_chunk()?;
            let (failures, rest) = rest.split_first_chunk()?;
            let (fetched, rest) = rest.split_first_chunk()?;
            let (tried, rest) = rest.split_first_chunk()?;
            let (next, rest) = rest.split_first_chunk()?;
            let (busy, rest) = rest.split_first_chunk()?;
            rest.is_empty().then(|| Self {
                generation: u32::from_le_bytes(*generation),
                attempts: u32::from_le_bytes(*attempts),
                failures: u32::from_le_bytes(*failures),
                fetched: u64::from_le_bytes(*fetched),
                tried: u64::from_le_bytes(*tried),
                next: u64::from_le_bytes(*next),
                busy: u64::from_le_bytes(*busy),
            })
        };
        cell.and_then(read).unwrap_or_default()
    }

    /// Whether it is time to fetch, and nobody is at it.
    pub(crate) fn is_due(&self, now: Duration) -> bool {
        millis(now) >= self.next && millis(now) >= self.busy
    }

    /// Somebody fetches now. Should nothing more be heard of it, others may from its timeout on.
    pub(crate) fn begun(self, now: Duration, timing: &Timing) -> Self {
        let busy = now.saturating_add(timing.timeout).saturating_add(Timing::GRACE);
        Self { busy: millis(busy), ..self }
    }

    /// A good document came. The next is fetched before this one is as old as it may get, by up to a tenth sooner, so
    /// that the proxies of a fleet do not all come at once: `chance` is any number.
    pub(crate) fn succeeded(self, now: Duration, timing: &Timing, chance: u8) -> Self {
        let sooner = timing.refresh.checked_div(2560).unwrap_or_default() * u32::from(chance);
        Self {
            generation: self.generation.wrapping_add(1).max(1),
            attempts: self.attempts.wrapping_add(1),
            failures: 0,
            fetched: millis(now),
            tried: millis(now),
            next: millis(now.saturating_add(timing.refresh).saturating_sub(sooner)),
            busy: 0,
        }
    }

    /// The current document came once more.
    pub(crate) fn confirmed(self, now: Duration, timing: &Timing, chance: u8) -> Self {
        Self { generation: self.generation, ..self.succeeded(now, timing, chance) }
    }

    /// No document came, or none that can be used.
    pub(crate) fn failed(self, now: Duration) -> Self {
        let doubled = 1_u32.checked_shl(self.failures).unwrap_or(u32::MAX);
        let pause = Timing::FIRST_PAUSE.saturating_mul(doubled).min(Timing::LONGEST_PAUSE);
        Self {
            attempts: self.attempts.wrapping_add(1),
            failures: self.failures.saturating_add(1),
            tried: millis(now),
            next: millis(now.saturating_add(pause)),
            busy: 0,
            ..self
        }
    }

    /// Somebody misses something in the current document. Brings the next attempt forward, unless the last was just
    /// now or failed.
    pub(crate) fn wished(self, now: Duration) -> Option<Self> {
        let cool = self.tried.saturating_add(millis(Timing::COOL_DOWN));
        let may = self.failures == 0 && self.next > millis(now) && cool <= millis(now);
        may.then(|| Self { next: millis(now), ..self })
    }

    /// Whether an attempt is due or under way.
    pub(crate) fn is_pending(&self, now: Duration) -> bool {
        millis(now) < self.busy || millis(now) >= self.next
    }

    /// Whether the current document may be used.
    pub(crate) fn is_usable(&self, now: Duration, timing: &Timing) -> bool {
        let oldest = timing.refresh.saturating_add(timing.max_stale);
        self.generation != 0 && millis(now) <= self.fetched.saturating_add(millis(oldest))
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TIMING: Timing = Timing {
        timeout: Duration::from_secs(5),
        refresh: Duration::from_secs(300),
        max_stale: Duration::from_secs(3600),
    };

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn a_new_plan_is_due_and_one_worker_is_at_it() {
        let plan = Plan::default();
        assert!(plan.is_due(at(0)) && !plan.is_usable(at(0), &TIMING));
        let begun = plan.begun(at(0), &TIMING);
        assert!(!begun.is_due(at(5)) && begun.is_pending(at(5)));
        // It was never heard of again.
        assert!(begun.is_due(at(6)));
    }

    #[test]
    fn a_document_is_fetched_anew_before_it_is_too_old() {
        for chance in [0, 255] {
            let plan = Plan::default().begun(at(0), &TIMING).succeeded(at(1), &TIMING, chance);
            assert_eq!((plan.generation, plan.attempts), (1, 1));
            assert!(!plan.is_due(at(271)), "a tenth sooner at most");
            assert!(plan.is_due(at(301)));
            assert!(plan.is_usable(at(3901), &TIMING) && !plan.is_usable(at(3902), &TIMING));
            let again = plan.confirmed(at(301), &TIMING, chance);
            assert_eq!((again.generation, again.attempts), (1, 2));
        }
    }

    #[test]
    fn pauses_double_up_to_a_minute_and_the_document_stays() {
        let mut plan = Plan::default().succeeded(at(0), &TIMING, 0);
        for (failures, pause) in [1, 2, 4, 8, 16, 32, 60, 60].into_iter().enumerate() {
            plan = plan.failed(at(1000));
            assert!(!plan.is_due(at(999 + pause)) && plan.is_due(at(1000 + pause)), "{failures}");
            assert_eq!(plan.generation, 1);
        }
        for _ in 0..50 {
            plan = plan.failed(at(2000));
        }
        assert!(plan.is_due(at(2060)));
    }

    #[test]
    fn wishes_cause_one_fetch_in_ten_seconds_and_none_while_it_fails() {
        let plan = Plan::default().succeeded(at(100), &TIMING, 0);
        assert_eq!(plan.wished(at(109)), None);
        let wished = plan.wished(at(110)).unwrap();
        assert!(wished.is_due(at(110)));
        assert_eq!(wished.wished(at(111)), None, "it is due already");
        assert_eq!(plan.failed(at(100)).wished(at(100)), None);
    }

    proptest! {
        #[test]
        fn a_plan_is_read_as_it_was_written(numbers in any::<[u32; 3]>(), times in any::<[u64; 4]>()) {
            let [generation, attempts, failures] = numbers;
            let [fetched, tried, next, busy] = times;
            let plan = Plan { generation, attempts, failures, fetched, tried, next, busy };
            prop_assert_eq!(plan.encode().len(), Plan::SIZE);
            prop_assert_eq!(Plan::decode(Some(&plan.encode())), plan);
        }

        #[test]
        fn what_is_no_plan_is_a_new_one(bytes in prop::collection::vec(any::<u8>(), 0..60)) {
            prop_assume!(bytes.len() != Plan::SIZE || bytes.first() != Some(&Plan::LAYOUT));
            prop_assert_eq!(Plan::decode(Some(&bytes)), Plan::default());
        }

        #[test]
        fn nothing_overflows(numbers in any::<[u32; 3]>(), times in any::<[u64; 4]>(), now in any::<u64>(), chance: u8) {
            let [generation, attempts, failures] = numbers;
            let [fetched, tried, next, busy] = times;
            let plan = Plan { generation, attempts, failures, fetched, tried, next, busy };
            let now = Duration::from_millis(now);
            let most = Timing { timeout: Duration::MAX, refresh: Duration::MAX, max_stale: Duration::MAX };
            let _ = (plan.begun(now, &most), plan.succeeded(now, &most, chance), plan.failed(now));
            let _ = (plan.wished(now), plan.is_usable(now, &most), plan.is_pending(now));
        }
    }
}
