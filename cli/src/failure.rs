//! Why a run came to nothing.

/// The two ways of coming to nothing; each has an exit status of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    /// What was given is not good, and must be changed.
    Refused(String),
    /// The work is not done: a file, the network, a registry.
    NotDone(String),
}

impl Failure {
    /// The same, said of something.
    pub(crate) fn of(self, what: impl std::fmt::Display) -> Self {
        match self {
            Self::Refused(text) => Self::Refused(format!("{what}: {text}")),
            Self::NotDone(text) => Self::NotDone(format!("{what}: {text}")),
        }
    }
}

impl From<String> for Failure {
    fn from(refusal: String) -> Self {
        Self::Refused(refusal)
    }
}
