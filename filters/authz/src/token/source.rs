//! Where an issuer's keys come from: the configuration, or a URL.

use std::cell::RefCell;
use std::time::Duration;

use filter_core::{Answer, Callout, Ports};

use super::jwks::{self, NamedKey};
use crate::fetch::{Fetched, News, Remote};

/// Where an issuer's keys come from.
#[derive(Clone, Debug)]
pub(crate) enum Source {
    /// The configuration.
    Inline(Vec<NamedKey>),
    /// A URL, by its position among [`super::Issuers`]' remote sets.
    Remote(usize),
}

/// A key set that is fetched.
#[derive(Debug)]
pub(crate) struct RemoteSet {
    remote: Remote,
    /// The keys that may be used now; none before the first set came, and when the last is too old.
    keys: RefCell<Option<Vec<NamedKey>>>,
}

/// What is new about a key set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Change {
    /// Nothing.
    None,
    /// It was tried to fetch it, and the keys are the same.
    Tried,
    /// There are other keys.
    Keys,
}

impl RemoteSet {
    pub(crate) fn new(remote: Remote) -> Self {
        Self { remote, keys: RefCell::default() }
    }

    /// Whether it is fetched from there.
    pub(crate) fn is(&self, remote: &Remote) -> bool {
        self.remote.is(remote)
    }

    /// Where it is fetched from.
    pub(super) fn url(&self) -> &str {
        self.remote.url()
    }

    /// Takes over what some worker fetched, and drops what is too old.
    pub(super) fn look(&self, ports: &Ports<'_>) -> Change {
        let keys = match self.remote.look(ports) {
            News::None => return Change::None,
            News::Tried => return Change::Tried,
            News::Gone => None,
            News::Document(document) => jwks::fetched(&document),
        };
        self.keys.replace(keys);
        Change::Keys
    }

    /// The request for the set, if it is time and this worker's turn.
    pub(super) fn begin(&self, ports: &Ports<'_>) -> Option<Callout> {
        self.remote.begin(ports)
    }

    /// Takes the answer to it.
    pub(super) fn end(&self, answer: &Answer, ports: &Ports<'_>) -> Fetched {
        self.remote.end(answer, |document| jwks::fetched(document).is_some(), ports)
    }

    /// Asks for a newer set, and gives what it takes to wait for it, if there is anything to wait for.
    pub(super) fn wish(&self, ports: &Ports<'_>) -> Option<Wish> {
        self.remote
            .wish(ports)
            .then(|| Wish { attempts: self.remote.attempts(), longest: self.remote.timeout() })
    }

    /// Whether what was wished for then has come, or could not be had.
    pub(super) fn has_tried_since(&self, wish: &Wish) -> bool {
        self.remote.attempts() != wish.attempts
    }

    /// Whether there are no keys that may be used.
    pub(super) fn is_missing(&self) -> bool {
        self.keys.try_borrow().is_ok_and(|keys| keys.is_none())
    }

    /// Shows the keys that may be used now.
    pub(super) fn with_keys(&self, show: impl FnOnce(&[NamedKey])) {
        if let Ok(keys) = self.keys.try_borrow() {
            show(keys.as_deref().unwrap_or_default());
        }
    }
}

/// A newer set was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Wish {
    /// How many attempts there were until then.
    attempts: u32,
    /// How long the next may take.
    pub(super) longest: Duration,
}
