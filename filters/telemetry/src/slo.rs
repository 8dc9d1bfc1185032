//! Whether a request was good for the objectives, bad, or none of their business.

use std::time::Duration;

use crate::end::End;
use crate::outcome::Ending;

/// What a request was for an objective.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// As it should be.
    Good,
    /// What the error budget is spent on.
    Bad,
    /// Not counted against it: the client's own error, or its leaving, or nobody can tell.
    Excluded,
}

impl Verdict {
    /// Every verdict, in the order of the label's values.
    pub(crate) const NAMES: [&str; 3] = ["good", "bad", "excluded"];

    /// Where it stands among them.
    pub(crate) fn position(self) -> usize {
        match self {
            Self::Good => 0,
            Self::Bad => 1,
            Self::Excluded => 2,
        }
    }
}

/// The objectives, in the order of the label's values.
pub(crate) const NAMES: [&str; 2] = ["errors", "latency"];

/// Of the error objective: an answer is good, a server's error bad.
pub(crate) fn errors(end: End) -> Verdict {
    match end.outcome {
        Ending::Ok => Verdict::Good,
        Ending::ServerError => Verdict::Bad,
        Ending::ClientError | Ending::Cancelled | Ending::Unknown => Verdict::Excluded,
    }
}

/// Of the latency objective: an answer is good if it was complete within the threshold. Errors are the other objective's.
pub(crate) fn latency(end: End, took: Option<Duration>, threshold: Duration) -> Verdict {
    match (end.outcome, took) {
        (Ending::Ok, Some(took)) if took <= threshold => Verdict::Good,
        (Ending::Ok, Some(_)) => Verdict::Bad,
        _ => Verdict::Excluded,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn end(outcome: Ending) -> End {
        End { outcome, code: None, error: None }
    }

    #[test]
    fn a_threshold_is_exact() {
        let threshold = Duration::from_millis(300);
        for (nanos, verdict) in
            [(0, Verdict::Good), (300_000_000, Verdict::Good), (300_000_001, Verdict::Bad)]
        {
            let took = Some(Duration::from_nanos(nanos));
            assert_eq!(latency(end(Ending::Ok), took, threshold), verdict, "{nanos}");
        }
        assert_eq!(latency(end(Ending::Ok), None, threshold), Verdict::Excluded);
    }

    #[test]
    fn what_the_client_did_is_nobodys_budget() {
        for outcome in [Ending::ClientError, Ending::Cancelled, Ending::Unknown] {
            assert_eq!(errors(end(outcome)), Verdict::Excluded);
            assert_eq!(
                latency(end(outcome), Some(Duration::ZERO), Duration::MAX),
                Verdict::Excluded
            );
        }
        assert_eq!(errors(end(Ending::ServerError)), Verdict::Bad);
        assert_eq!(errors(end(Ending::Ok)), Verdict::Good);
    }
}
