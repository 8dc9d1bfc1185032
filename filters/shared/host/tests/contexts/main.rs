//! Exchanges of two plugins in a few contexts, whose numbers are used again, under a proxy that makes its callbacks in
//! any order. What a filter is asked, with which memo and about which headers, and what becomes of each request, is what
//! a model says; so no exchange is taken for another, or for an earlier one of its number.

mod filter;
mod model;
#[path = "../proxy/mod.rs"]
mod proxy;
mod stage;
mod steps;

use std::rc::Weak;

use model::Model;
use proptest::prelude::*;
use proxy::plugin;
use stage::{NOW, TestProxy};
use steps::{Step, step};

/// The contexts of the plugins. The second one is configured late or never.
const ROOTS: [u32; 2] = [1, 2];
const CONTEXTS: [u32; 5] = [10, 11, 12, 13, 14];

/// How long a request is held for news, in nanoseconds, and how much time passes from one tick to the next.
const LONGEST: u64 = 20;
const PERIOD: u64 = 10;

/// Takes those of the steps that a proxy would, and holds what comes of each to the model.
fn play(steps: &[Step]) -> Result<(), TestCaseError> {
    let mut model = Model::default();
    for root in ROOTS {
        plugin::proxy_on_context_create(root, 0);
    }
    let first = Step::Configure { root: ROOTS[0] };
    for (number, step) in (0..).zip([&first].into_iter().chain(steps)) {
        if !model.allows(step) {
            continue;
        }
        let calls = NOW.with_borrow(|now| now.calls.clone());
        let mut expected = model.follow(number, step, &calls);
        let mut events = step.take(number, &calls);
        // Which of several that wait is asked first means nothing.
        expected.sort();
        events.sort();
        prop_assert_eq!(events, expected, "{:?}", step);
        for (context, action) in model.rests() {
            prop_assert_eq!(plugin::proxy_on_request_body(context, 1, false), action);
            prop_assert_eq!(plugin::proxy_on_request_trailers(context, 1), action);
        }
        let (effective, memos) = NOW.with_borrow(|now| (now.effective, now.memos.clone()));
        prop_assert_eq!(effective, step.context(), "{:?}", step);
        let mut kept = memos.iter().filter_map(Weak::upgrade);
        prop_assert!(
            kept.all(|exchange| model.may_be_remembered(*exchange)),
            "{:?} left a memo",
            step
        );
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]

    #[test]
    fn no_exchange_is_taken_for_another(steps in prop::collection::vec(step(), 0..80)) {
        NOW.take();
        let lawful = play(&steps);
        // Also after steps that broke the law, as fewer may be taken after them.
        for context in CONTEXTS.into_iter().chain(ROOTS) {
            plugin::proxy_on_delete(context);
        }
        lawful?;
    }
}
