//! What a filter does apart from any exchange: it fetches what its decisions need before they need it.

use crate::{Callout, Count};

/// What a filter wants done, in its own name.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Chores {
    /// Requests to send, and by which name to tell their answers.
    pub calls: Vec<(Errand, Callout)>,
    /// What to count.
    pub counts: Vec<Count>,
    /// Whether what requests were held for may have come, so that they are asked again now.
    pub resume: bool,
}

impl Chores {
    /// These, and then others.
    pub fn extend(&mut self, others: Self) {
        self.calls.extend(others.calls);
        self.counts.extend(others.counts);
        self.resume |= others.resume;
    }
}

/// Which of a filter's background calls an answer is to; a number of the filter's own choice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Errand(pub u32);
