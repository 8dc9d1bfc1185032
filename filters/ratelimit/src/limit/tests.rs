//! Laws of several windows.

use proptest::prelude::*;

use super::*;
use crate::gcra::TICKS_PER_SECOND;

fn limits(windows: &[(u64, u64)]) -> Limits {
    let window = |(count, seconds): &(u64, u64)| {
        Window::bucket(*count, *count, Duration::from_secs(*seconds)).unwrap()
    };
    Limits::new(&windows.iter().map(window).collect::<Vec<_>>()).unwrap()
}

#[test]
fn what_is_left_is_told_to_the_tick() {
    let window = *limits(&[(5, 10)]).window(0);
    let second = TICKS_PER_SECOND;
    for (debt, left, next) in [
        (0, 5, None),
        (1, 4, Some(1)),
        (2 * second, 4, Some(2 * second)),
        (2 * second + 1, 3, Some(1)),
        (10 * second, 0, Some(2 * second)),
        (13 * second, 0, Some(5 * second)),
    ] {
        let debt = Debt { tat: 7 + debt, token: 2 * second };
        assert_eq!(window.left(&debt, 7), (left, next), "{debt:?}");
    }
    assert_eq!(window.left(&Debt { tat: 0, token: 2 * second }, 7), (5, None));
    let elsewhere = Debt { tat: 7 + 3 * second, token: second };
    assert_eq!(window.left(&elsewhere, 7), (2, Some(2 * second)), "three tokens used are three");
    assert_eq!(window.seconds(), 10);
    assert_eq!(limits(&[(3, 10)]).window(0).seconds(), 10);
}

#[test]
fn a_key_that_was_refused_is_barred_once() {
    let limits = limits(&[(2, 2)]).with_penalty(Duration::from_secs(60));
    let second = TICKS_PER_SECOND;
    let mut debts = Debts::default();
    debts[0] = Debt { tat: 2 * second, token: second };
    assert!(
        matches!(limits.decide(&debts, 0, 1), Verdict::Refuse { retry_after, .. } if retry_after == second)
    );
    assert_eq!(limits.bar(&mut debts, 0), Some(60 * second));
    assert_eq!(limits.bar(&mut debts, 59 * second), None);
    assert_eq!(
        limits.decide(&debts, 10 * second, 1),
        Verdict::Refuse { window: 0, retry_after: 50 * second }
    );
    assert!(matches!(limits.decide(&debts, 60 * second, 1), Verdict::Admit { remaining: 1, .. }));
}

proptest! {
    #[test]
    fn each_window_holds_and_a_refusal_charges_none(
        shapes in prop::collection::vec((1_u64..20, 1_u64..20), 1..=4),
        arrivals in prop::collection::vec((0_u64..40, 1_u64..3), 1..150),
    ) {
        let limits = limits(&shapes);
        let (mut debts, mut now) = (Debts::default(), 0);
        let mut alone = Debts::default();
        for (tenths, cost) in arrivals {
            now += TICKS_PER_SECOND * tenths / 10;
            let before = debts;
            if let Verdict::Admit { debts: charged, remaining, window } = limits.decide(&debts, now, cost) {
                debts = charged;
                // Exactly what each window would have been charged alone.
                for (window, debt) in limits.windows().iter().zip(&mut alone) {
                    let Ruling::Admit { tat, .. } = window.gcra.decide(debt.tat, now, cost) else {
                        return Err(TestCaseError::fail("one window would have refused"));
                    };
                    *debt = Debt { tat, token: window.gcra.token() };
                }
                let lefts: Vec<u64> = limits.windows().iter().zip(&debts)
                    .map(|(window, debt)| window.left(debt, now).0).collect();
                prop_assert_eq!(lefts.iter().min(), Some(&remaining));
                prop_assert_eq!(lefts.get(window), Some(&remaining));
            }  else {
                prop_assert_eq!(debts, before);
                let some = limits.windows().iter().zip(&debts)
                    .any(|(window, debt)| matches!(window.gcra.decide(debt.tat, now, cost), Ruling::Refuse { .. }));
                prop_assert!(some);
            }
            prop_assert_eq!(debts, alone);
        }
    }

    #[test]
    fn the_longest_wait_is_exact(shapes in prop::collection::vec((1_u64..9, 1_u64..9), 1..=4), ahead: [u32; 5]) {
        let limits = limits(&shapes);
        let debts = ahead.map(|ahead| Debt { tat: u64::from(ahead) * 64, token: 0 });
        if let Verdict::Refuse { retry_after, .. } = limits.decide(&debts, 0, 1) {
            let admits = |now| matches!(limits.decide(&debts, now, 1), Verdict::Admit { .. });
            prop_assert!(admits(retry_after) && !admits(retry_after - 1));
        }
    }
}
