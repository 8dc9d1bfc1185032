//! What a key owes: the tokens that it used and that have not come back yet. They are written as time, but they are
//! tokens: whoever reckons with another time of a token finds as many of them used.

use crate::gcra::LONGEST_FILL;

/// The longest debt, in ticks: what two of the slowest buckets hold. It leaves five years for the clock.
const LONGEST: u64 = 2 * LONGEST_FILL;

/// What a key owes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Debt {
    /// When all of it will have come back (theoretical arrival time, TAT).
    pub tat: u64,
    /// The time in which one token comes back, in ticks; 0 for what is no number of tokens but a time.
    pub token: u64,
}

impl Debt {
    /// The same number of tokens as a TAT, where one takes `token` ticks to come back from `now` on. Parts of a tick are
    /// rounded up, so that none is forgiven. Without a clock (`now` is 0) a debt only grows.
    #[must_use]
    pub fn reckoned(&self, token: u64, now: u64) -> u64 {
        let owed = self.owed(now);
        if self.token == token || self.token == 0 || owed == 0 {
            return self.tat;
        }
        let owed = u128::from(owed).saturating_mul(u128::from(token));
        let owed = u64::try_from(owed.div_ceil(u128::from(self.token))).unwrap_or(u64::MAX);
        let tat = now.saturating_add(owed.min(LONGEST));
        if now == 0 { tat.max(self.tat) } else { tat }
    }

    /// How many ticks it takes to come back.
    #[must_use]
    pub fn owed(&self, now: u64) -> u64 {
        self.tat.saturating_sub(now)
    }

    /// Whether it is fewer tokens than another.
    #[must_use]
    pub fn is_less(&self, other: &Self, now: u64) -> bool {
        let product = |one: &Self, two: &Self| {
            u128::from(one.owed(now)).saturating_mul(u128::from(two.token.max(1)))
        };
        product(self, other) < product(other, self)
    }

    /// A debt that is at no time fewer tokens than either.
    #[must_use]
    pub fn or(self, other: Self, now: u64) -> Self {
        match (self.owed(now), other.owed(now)) {
            (0, _) => other,
            (_, 0) => self,
            _ => Self { tat: self.tat.max(other.tat), token: self.token.min(other.token) },
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::gcra::TICKS_PER_SECOND;

    const NOW: u64 = 1000;

    fn debt() -> impl Strategy<Value = Debt> {
        (0_u64..1 << 45, 64_u64..1 << 40).prop_map(|(owed, token)| Debt { tat: NOW + owed, token })
    }

    /// Tokens that are used, whole ones.
    fn used(debt: Debt, now: u64) -> u64 {
        debt.owed(now).div_ceil(debt.token)
    }

    proptest! {
        #[test]
        fn as_many_tokens_are_used_after_a_change_as_before(debt in debt(), token in 64_u64..1 << 40) {
            let after = Debt { tat: debt.reckoned(token, NOW), token };
            // Those that would take longer than the clock lasts are cut.
            prop_assume!(after.owed(NOW) < LONGEST);
            prop_assert_eq!(used(after, NOW), used(debt, NOW));
            prop_assert!(!after.is_less(&debt, NOW));
            prop_assert!(after.reckoned(debt.token, NOW) >= debt.tat, "nor does going back forgive any");
        }

        #[test]
        fn either_is_at_most_both(one in debt(), two in debt(), later in 0_u64..1 << 45) {
            let both = one.or(two, NOW);
            prop_assert!(!both.is_less(&one, NOW + later) && !both.is_less(&two, NOW + later));
        }

        #[test]
        fn without_a_clock_none_is_forgiven(debt in debt(), token in 64_u64..1 << 40) {
            prop_assert!(debt.reckoned(token, 0) >= debt.tat.min(LONGEST));
        }

        #[test]
        fn nothing_overflows(tat: u64, token: u64, to: u64, now: u64) {
            let debt = Debt { tat, token };
            prop_assert!(debt.reckoned(to, now) >= debt.tat.min(now));
            prop_assert!(!debt.or(debt, now).is_less(&debt, now));
        }
    }

    #[test]
    fn fifty_of_a_hundred_a_minute_are_fifty_of_a_hundred_an_hour() {
        let minute = Debt { tat: NOW + 30 * TICKS_PER_SECOND, token: 3 * TICKS_PER_SECOND / 5 };
        let hour = minute.reckoned(36 * TICKS_PER_SECOND, NOW);
        assert_eq!(hour, NOW + 1800 * TICKS_PER_SECOND);
        assert_eq!(Debt { tat: 5, token: 0 }.reckoned(64, 1), 5, "a time is a time");
    }
}
