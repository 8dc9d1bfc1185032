//! The requests of one worker that wait for news from the filter's background.

use std::cell::RefCell;
use std::rc::{Rc, Weak};
use std::time::Duration;

use filter_core::{Answer, Filter};

use crate::abi;
use crate::passage::{Passage, Room};
use crate::root::Plugin;

/// How many may wait at once. Each holds its headers.
const MAX_WAITING: usize = 1_000;

type Entry<F> = (u32, Weak<RefCell<Passage<F>>>);

/// The contexts of those that wait, and their passages, which belong to their streams.
pub(crate) struct Waiting<F: Filter> {
    entries: RefCell<Vec<Entry<F>>>,
    /// Whether there ever is any news.
    ticking: bool,
}

impl<F: Filter> Waiting<F> {
    pub(crate) fn new(ticking: bool) -> Self {
        Self { entries: RefCell::default(), ticking }
    }

    /// Whether another one may wait.
    pub(crate) fn room(&self) -> Room {
        if self.ticking && self.entries.borrow().len() < MAX_WAITING {
            Room::Left
        } else {
            Room::None
        }
    }

    pub(crate) fn add(&self, context: u32, passage: &Rc<RefCell<Passage<F>>>) {
        self.entries.borrow_mut().push((context, Rc::downgrade(passage)));
    }

    /// Asks again about those that are due, or about all if there is news. What comes next is about another context.
    pub(crate) fn resume(&self, plugin: &Plugin<F>, now: Duration, news: bool) {
        self.ask_again(plugin, &Answer::Resumed, |passage| {
            news && passage.waits_for_news() || passage.is_due(now)
        });
    }

    /// Gives the one that waits for it the answer to a callout that it made when it was asked again: to the SDK, such a
    /// callout is the root's.
    pub(crate) fn answer(&self, plugin: &Plugin<F>, token: u32, answer: &Answer) {
        self.ask_again(plugin, answer, |passage| passage.awaits(token));
    }

    fn ask_again(&self, plugin: &Plugin<F>, answer: &Answer, whom: impl Fn(&Passage<F>) -> bool) {
        // Streams that are gone, and those that do not wait any more, are forgotten here.
        let entries = self.entries.take();
        let mut left = Vec::new();
        for (context, weak) in entries {
            let Some(passage) = weak.upgrade() else { continue };
            let Ok(mut passage) = passage.try_borrow_mut() else { continue };
            if whom(&passage) && abi::set_effective_context(context).is_ok() {
                passage.go_on(plugin, answer, Room::Left);
            }
            if passage.is_held() {
                left.push((context, weak));
            }
        }
        self.entries.borrow_mut().extend(left);
    }
}
