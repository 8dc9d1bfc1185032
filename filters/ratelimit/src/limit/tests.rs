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
        (13 * second, 0, Some(3 * second)),
    ] {
        assert_eq!(window.left(7 + debt, 7), (left, next), "{debt}");
    }
    assert_eq!(window.left(0, 7), (5, None));
    assert_eq!(window.seconds(), 10);
    assert_eq!(limits(&[(3, 10)]).window(0).seconds(), 10);
}

#[test]
fn a_key_that_was_refused_is_barred_once() {
    let limits = limits(&[(2, 2)]).with_penalty(Duration::from_secs(60));
    let second = TICKS_PER_SECOND;
    let mut tats = [2 * second, 0, 0, 0, 0];
    assert!(
        matches!(limits.decide(&tats, 0, 1), Verdict::Refuse { retry_after, .. } if retry_after == second)
    );
    assert_eq!(limits.bar(&mut tats, 0), Some(60 * second));
    assert_eq!(limits.bar(&mut tats, 59 * second), None);
    assert_eq!(
        limits.decide(&tats, 10 * second, 1),
        Verdict::Refuse { window: 0, retry_after: 50 * second }
    );
    assert!(matches!(limits.decide(&tats, 60 * second, 1), Verdict::Admit { remaining: 1, .. }));
}

proptest! {
    #[test]
    fn each_window_holds_and_a_refusal_charges_none(
        shapes in prop::collection::vec((1_u64..20, 1_u64..20), 1..=4),
        arrivals in prop::collection::vec((0_u64..40, 1_u64..3), 1..150),
    ) {
        let limits = limits(&shapes);
        let (mut tats, mut now) = (Tats::default(), 0);
        let mut alone = Tats::default();
        for (tenths, cost) in arrivals {
            now += TICKS_PER_SECOND * tenths / 10;
            let before = tats;
            if let Verdict::Admit { tats: charged, remaining, window } = limits.decide(&tats, now, cost) {
                tats = charged;
                // Exactly what each window would have been charged alone.
                for (window, tat) in limits.windows().iter().zip(&mut alone) {
                    let Ruling::Admit { tat: charged, .. } = window.gcra.decide(*tat, now, cost) else {
                        return Err(TestCaseError::fail("one window would have refused"));
                    };
                    *tat = charged;
                }
                let lefts: Vec<u64> = limits.windows().iter().zip(&tats)
                    .map(|(window, tat)| window.left(*tat, now).0).collect();
                prop_assert_eq!(lefts.iter().min(), Some(&remaining));
                prop_assert_eq!(lefts.get(window), Some(&remaining));
            }  else {
                prop_assert_eq!(tats, before);
                let some = limits.windows().iter().zip(&tats)
                    .any(|(window, tat)| matches!(window.gcra.decide(*tat, now, cost), Ruling::Refuse { .. }));
                prop_assert!(some);
            }
            prop_assert_eq!(tats, alone);
        }
    }

    #[test]
    fn the_longest_wait_is_exact(shapes in prop::collection::vec((1_u64..9, 1_u64..9), 1..=4), ahead: [u32; 5]) {
        let limits = limits(&shapes);
        let tats = ahead.map(|ahead| u64::from(ahead) * 64);
        if let Verdict::Refuse { retry_after, .. } = limits.decide(&tats, 0, 1) {
            let admits = |now| matches!(limits.decide(&tats, now, 1), Verdict::Admit { .. });
            prop_assert!(admits(retry_after) && !admits(retry_after - 1));
        }
    }
}
