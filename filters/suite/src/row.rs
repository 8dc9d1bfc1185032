//! A chain as the host sees it: one outcome for each phase.

use filter_core::{Answer, Attribute, Outcome, Phase, Ports, View};

use crate::chain::Chain;

/// A chain of filters that is asked as one.
pub(crate) struct Row<C>(pub(crate) C);

impl<C: Chain> Row<C> {
    pub(crate) fn attributes(&self, phase: Phase) -> Vec<Attribute> {
        let mut listed = Vec::new();
        self.0.attributes(phase, &mut listed);
        listed.sort();
        listed.dedup();
        listed
    }

    pub(crate) fn on_request(
        &self,
        view: View<'_>,
        memo: &mut C::Memo,
        ports: &Ports<'_>,
    ) -> Outcome {
        let mut outcome = Outcome::pass();
        self.0.on_request(view, memo, ports, &mut outcome);
        outcome
    }

    pub(crate) fn on_answer(
        &self,
        view: View<'_>,
        answer: &Answer,
        memo: &mut C::Memo,
        ports: &Ports<'_>,
    ) -> Outcome {
        // What was decided before is in the view already, and is not decided again.
        let known = view.edits().len();
        let mut outcome = Outcome { edits: view.edits().to_vec(), ..Outcome::pass() };
        self.0.on_answer(view, answer, memo, ports, &mut outcome);
        Outcome { edits: outcome.edits.into_iter().skip(known).collect(), ..outcome }
    }

    pub(crate) fn on_response(
        &self,
        view: View<'_>,
        memo: &mut C::Memo,
        ports: &Ports<'_>,
    ) -> Outcome {
        let mut outcome = Outcome::pass();
        self.0.on_response(view, memo, ports, &mut outcome);
        outcome
    }

    pub(crate) fn on_log(&self, view: View<'_>, memo: &mut C::Memo, ports: &Ports<'_>) -> Outcome {
        let mut outcome = Outcome::pass();
        self.0.on_log(view, memo, ports, &mut outcome);
        outcome
    }
}

#[cfg(test)]
mod tests;
