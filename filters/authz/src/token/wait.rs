//! Fetched keys, and waiting for them: a token whose key is not known may be signed with one that is about to come.

use std::time::Duration;

use filter_core::{Answer, Callout, Errand, Ports};

use super::Issuers;
use super::source::{Change, RemoteSet, Wish};
use crate::Reason;
use crate::fetch::Fetched;

/// How much longer than a fetch may take its outcome is waited for: it reaches other workers with their clocks.
const GRACE: Duration = Duration::from_secs(2);

/// A request that waits for keys.
#[derive(Clone, Debug, Default)]
pub(crate) struct Wait {
    /// The sets that are awaited, by position.
    wishes: Vec<(usize, Wish)>,
    /// When it is over, by the monotonic clock.
    until: Duration,
}

impl Issuers {
    /// Whether some keys are fetched.
    pub(crate) fn fetches(&self) -> bool {
        !self.remotes.is_empty()
    }

    /// The URLs that they are fetched from, in the order of their errands.
    pub(crate) fn urls(&self) -> impl Iterator<Item = &str> {
        self.remotes.iter().map(RemoteSet::url)
    }

    /// Takes over what any worker fetched. True if it was tried to fetch something since the last time.
    pub(crate) fn look(&self, ports: &Ports<'_>) -> bool {
        let changes: Vec<Change> = self.remotes.iter().map(|set| set.look(ports)).collect();
        if changes.contains(&Change::Keys) {
            self.forge();
        }
        changes.iter().any(|change| *change != Change::None)
    }

    /// The requests for the sets of which it is time, and this worker's turn.
    pub(crate) fn begin(&self, ports: &Ports<'_>) -> Vec<(Errand, Callout)> {
        let errands = (0..).map(Errand).zip(&self.remotes);
        errands.filter_map(|(errand, set)| Some((errand, set.begin(ports)?))).collect()
    }

    /// Takes the answer to one of them.
    pub(crate) fn end(
        &self,
        errand: Errand,
        answer: &Answer,
        ports: &Ports<'_>,
    ) -> Option<Fetched> {
        let position = usize::try_from(errand.0).ok()?;
        Some(self.remotes.get(position)?.end(answer, ports))
    }

    /// How long to wait for keys that may prove a token which was refused for this reason; `None` if no such keys are to
    /// be expected.
    pub(crate) fn wait(&self, reason: Reason, ports: &Ports<'_>) -> Option<(Wait, Duration)> {
        if !lacks_a_key(reason) {
            return None;
        }
        let wishes: Vec<(usize, Wish)> = self
            .remotes
            .iter()
            .enumerate()
            .filter_map(|(position, set)| Some((position, set.wish(ports)?)))
            .collect();
        let longest = wishes.iter().map(|(_, wish)| wish.longest).max()?.saturating_add(GRACE);
        let until = ports.clock.monotonic().saturating_add(longest);
        Some((Wait { wishes, until }, longest))
    }

    /// How much longer to wait for what is still awaited; `None` if all of it was tried, or time is up.
    pub(crate) fn wait_on(&self, wait: &Wait, ports: &Ports<'_>) -> Option<Duration> {
        let open = wait.wishes.iter().any(|(position, wish)| {
            self.remotes.get(*position).is_some_and(|set| !set.has_tried_since(wish))
        });
        let left = wait.until.saturating_sub(ports.clock.monotonic());
        (open && !left.is_zero()).then_some(left)
    }

    /// The reason to give, where keys are not to be had that might prove the token.
    pub(crate) fn for_want_of_keys(&self, reason: Reason) -> Reason {
        if lacks_a_key(reason) && self.remotes.iter().any(RemoteSet::is_missing) {
            Reason::KeysUnavailable
        } else {
            reason
        }
    }
}

/// Whether another key could help a token that was refused for this reason.
fn lacks_a_key(reason: Reason) -> bool {
    matches!(reason, Reason::TokenKeyUnknown | Reason::SignatureInvalid)
}
