//! The requests of one plugin, in one worker, that wait for news from the filter's background.

use std::cell::RefCell;

/// How many may wait at once. Each holds its headers.
const MAX_WAITING: usize = 1_000;

/// The contexts of those that wait. Some may have gone since.
pub(crate) struct Waiting {
    contexts: RefCell<Vec<u32>>,
    /// Whether there ever is any news.
    ticking: bool,
}

impl Waiting {
    pub(crate) fn new(ticking: bool) -> Self {
        Self { contexts: RefCell::default(), ticking }
    }

    /// Whether one more may wait. If so, it does.
    pub(crate) fn admits(&self, context: u32) -> bool {
        let room = self.ticking && self.contexts.borrow().len() < MAX_WAITING;
        if room {
            self.add(context);
        }
        room
    }

    /// One that waits goes on waiting.
    pub(crate) fn add(&self, context: u32) {
        self.contexts.borrow_mut().push(context);
    }

    /// All of them, for who adds those again that go on waiting.
    pub(crate) fn take(&self) -> Vec<u32> {
        self.contexts.take()
    }
}
