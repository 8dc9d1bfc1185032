//! Filters in order that answer as one: each sees the headers as those before it leave them.

use std::time::Duration;

use filter_core::config::step;
use filter_core::{
    Answer, Attribute, Chores, Errand, Filter, Outcome, Phase, Ports, Stated, Verdict, View,
};

/// A row of filters. Each phase adds its effects to those `so_far`, whose edits no view shows yet.
pub(crate) trait Chain {
    /// What is kept of one exchange.
    type Memo: Default + 'static;

    /// The attributes that any of them may ask for.
    fn attributes(&self, phase: Phase, listed: &mut Vec<Attribute>);

    /// The expressions that any of them may ask about, as they stand in the one document.
    fn expressions(&self, listed: &mut Vec<Stated>);

    /// The same of the log phase.
    fn late_expressions(&self, listed: &mut Vec<Stated>);

    /// Asks each, up to the first whose verdict is not to continue.
    fn on_request(
        &self,
        view: View<'_>,
        memo: &mut Self::Memo,
        ports: &Ports<'_>,
        so_far: &mut Outcome,
    );

    /// Asks the one that awaits the answer, and then those behind it.
    fn on_answer(
        &self,
        view: View<'_>,
        answer: &Answer,
        memo: &mut Self::Memo,
        ports: &Ports<'_>,
        so_far: &mut Outcome,
    );

    /// Whether any of them heeds what comes of the exchange in this phase, or was not asked of the request.
    fn heeds(&self, memo: &Self::Memo, phase: Phase) -> bool;

    /// Asks those that the request got to, last first.
    fn on_response(
        &self,
        view: View<'_>,
        memo: &mut Self::Memo,
        ports: &Ports<'_>,
        so_far: &mut Outcome,
    );

    /// Asks all.
    fn on_log(
        &self,
        view: View<'_>,
        memo: &mut Self::Memo,
        ports: &Ports<'_>,
        so_far: &mut Outcome,
    );

    /// The shortest of their periods.
    fn period(&self) -> Option<Duration>;

    /// What all of them want done.
    fn on_tick(&self, ports: &Ports<'_>) -> Chores;

    /// Gives an answer to the one that sent for it.
    fn on_fetched(&self, errand: Errand, answer: &Answer, ports: &Ports<'_>) -> Chores;
}

/// A filter, if it is configured, and those behind it.
pub(crate) struct Link<F, C> {
    pub(crate) filter: Option<F>,
    pub(crate) behind: C,
}

/// What is kept of one exchange.
#[derive(Default)]
pub(crate) struct LinkMemo<M, B> {
    own: M,
    stage: Stage,
    behind: B,
}

/// How far the request got with one filter.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Stage {
    /// The filter was not asked.
    #[default]
    Ahead,
    /// The filter awaits an answer.
    Held,
    /// The filter has decided.
    Past,
}

impl<F: Filter, C: Chain> Link<F, C> {
    /// Adds the filter's answer to the others', and goes on behind it if it says so.
    fn proceed(
        &self,
        view: View<'_>,
        memo: &mut LinkMemo<F::Memo, C::Memo>,
        ports: &Ports<'_>,
        so_far: &mut Outcome,
        own: Outcome,
    ) {
        so_far.extend(own);
        memo.stage = match so_far.verdict {
            Verdict::Await(_) | Verdict::Hold(_) => Stage::Held,
            Verdict::Continue | Verdict::Reply(_) => Stage::Past,
        };
        if so_far.verdict == Verdict::Continue {
            self.behind.on_request(view, &mut memo.behind, ports, so_far);
        }
    }
}

impl<F: Filter, C: Chain> Chain for Link<F, C> {
    type Memo = LinkMemo<F::Memo, C::Memo>;

    fn attributes(&self, phase: Phase, listed: &mut Vec<Attribute>) {
        listed.extend(self.filter.iter().flat_map(|filter| filter.attributes(phase)));
        self.behind.attributes(phase, listed);
    }

    fn expressions(&self, listed: &mut Vec<Stated>) {
        let own = self.filter.iter().flat_map(Filter::expressions);
        listed.extend(own.map(|stated| stated.under(&step(F::NAME))));
        self.behind.expressions(listed);
    }

    fn late_expressions(&self, listed: &mut Vec<Stated>) {
        let own = self.filter.iter().flat_map(Filter::late_expressions);
        listed.extend(own.map(|stated| stated.under(&step(F::NAME))));
        self.behind.late_expressions(listed);
    }

    fn on_request(
        &self,
        view: View<'_>,
        memo: &mut Self::Memo,
        ports: &Ports<'_>,
        so_far: &mut Outcome,
    ) {
        let own = self
            .filter
            .as_ref()
            .map(|filter| filter.on_request(&view.over(&so_far.edits), &mut memo.own, ports));
        match own {
            Some(own) => self.proceed(view, memo, ports, so_far, own),
            None => self.behind.on_request(view, &mut memo.behind, ports, so_far),
        }
    }

    fn on_answer(
        &self,
        view: View<'_>,
        answer: &Answer,
        memo: &mut Self::Memo,
        ports: &Ports<'_>,
        so_far: &mut Outcome,
    ) {
        match (&self.filter, memo.stage) {
            (Some(filter), Stage::Held) => {
                let own = filter.on_answer(&view.over(&so_far.edits), answer, &mut memo.own, ports);
                self.proceed(view, memo, ports, so_far, own);
            }
            _ => self.behind.on_answer(view, answer, &mut memo.behind, ports, so_far),
        }
    }

    fn heeds(&self, memo: &Self::Memo, phase: Phase) -> bool {
        let own = |filter: &F| memo.stage == Stage::Ahead || filter.heeds(&memo.own, phase);
        self.filter.as_ref().is_some_and(own) || self.behind.heeds(&memo.behind, phase)
    }

    fn on_response(
        &self,
        view: View<'_>,
        memo: &mut Self::Memo,
        ports: &Ports<'_>,
        so_far: &mut Outcome,
    ) {
        self.behind.on_response(view, &mut memo.behind, ports, so_far);
        if let (Some(filter), Stage::Held | Stage::Past) = (&self.filter, memo.stage) {
            let own = filter.on_response(&view.over(&so_far.edits), &mut memo.own, ports);
            so_far.extend(own);
        }
    }

    fn on_log(
        &self,
        view: View<'_>,
        memo: &mut Self::Memo,
        ports: &Ports<'_>,
        so_far: &mut Outcome,
    ) {
        if let Some(filter) = &self.filter {
            so_far.extend(filter.on_log(&view, &mut memo.own, ports));
        }
        self.behind.on_log(view, &mut memo.behind, ports, so_far);
    }

    fn period(&self) -> Option<Duration> {
        let own = self.filter.as_ref().and_then(Filter::period);
        own.into_iter().chain(self.behind.period()).min()
    }

    fn on_tick(&self, ports: &Ports<'_>) -> Chores {
        let own = self.filter.as_ref().map(|filter| filter.on_tick(ports)).unwrap_or_default();
        let mut chores = renamed(own, own_errand);
        chores.extend(renamed(self.behind.on_tick(ports), errand_behind));
        chores
    }

    fn on_fetched(&self, errand: Errand, answer: &Answer, ports: &Ports<'_>) -> Chores {
        let inner = Errand(errand.0 / 2);
        match &self.filter {
            Some(filter) if errand.0.is_multiple_of(2) => {
                renamed(filter.on_fetched(inner, answer, ports), own_errand)
            }
            _ => renamed(self.behind.on_fetched(inner, answer, ports), errand_behind),
        }
    }
}

// The errands of a filter are even outside of its link, and those of the filters behind it odd.

fn own_errand(errand: Errand) -> Errand {
    Errand(errand.0.saturating_mul(2))
}

fn errand_behind(errand: Errand) -> Errand {
    Errand(errand.0.saturating_mul(2).saturating_add(1))
}

fn renamed(mut chores: Chores, name: impl Fn(Errand) -> Errand) -> Chores {
    for (errand, _) in &mut chores.calls {
        *errand = name(*errand);
    }
    chores
}

/// The end of the row: nothing is left to ask.
pub(crate) struct End;

impl Chain for End {
    type Memo = ();

    fn attributes(&self, _: Phase, _: &mut Vec<Attribute>) {}

    fn expressions(&self, _: &mut Vec<Stated>) {}

    fn late_expressions(&self, _: &mut Vec<Stated>) {}

    fn on_request(&self, _: View<'_>, _: &mut (), _: &Ports<'_>, _: &mut Outcome) {}

    fn on_answer(&self, _: View<'_>, _: &Answer, _: &mut (), _: &Ports<'_>, _: &mut Outcome) {}

    fn heeds(&self, (): &(), _: Phase) -> bool {
        false
    }

    fn on_response(&self, _: View<'_>, _: &mut (), _: &Ports<'_>, _: &mut Outcome) {}

    fn on_log(&self, _: View<'_>, _: &mut (), _: &Ports<'_>, _: &mut Outcome) {}

    fn period(&self) -> Option<Duration> {
        None
    }

    fn on_tick(&self, _: &Ports<'_>) -> Chores {
        Chores::default()
    }

    fn on_fetched(&self, _: Errand, _: &Answer, _: &Ports<'_>) -> Chores {
        Chores::default()
    }
}
