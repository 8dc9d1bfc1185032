//! The authz filter: who may do what.
//!
//! A request passes two gates. `token` proves who sent it, if it carries a token, and refuses tokens that prove
//! nothing. `policy` says whether that identity, or nobody, may do what is asked.

mod answer;
mod api_key;
mod config;
mod fetch;
mod fetches;
mod notes;
mod policy;
mod reason;
mod token;

use std::time::Duration;

use filter_core::{
    Answer, Attribute, Chores, Decision, Edit, Errand, Filter, HeaderName, Headers, Invalid,
    Ledger, Metrics, Outcome, Phase, Ports, Stated, Verdict, View,
};

use answer::{Form, Methods};
use api_key::{ApiKeys, Client};
use fetches::Fetches;
use notes::Notes;
use policy::{Policies, Ruling};
pub use reason::Reason;
use token::{Emptied, Identity, Issuers, Wait};

/// The filter.
#[derive(Debug)]
pub struct Authz {
    issuers: Issuers,
    api_keys: ApiKeys,
    methods: Methods,
    policies: Policies,
    ledger: Ledger,
    passes: Passes,
    notes: Notes,
    fetches: Fetches,
    form: Form,
    forms: Vec<Option<Form>>,
    debug_header: Option<HeaderName>,
}

/// How often a worker looks whether another has fetched keys, or whether it is time to.
const PERIOD: Duration = Duration::from_millis(100);

/// What is kept of one exchange.
#[derive(Debug, Default)]
pub struct Memo {
    /// What keys the request waits for.
    wait: Option<Wait>,
}

impl Filter for Authz {
    const NAME: &'static str = "authz";

    const LATER: &'static [Phase] = &[];

    type Memo = Memo;

    fn configure(document: &[u8], metrics: &mut Metrics) -> Result<Self, Invalid> {
        let configuration = config::compile(document)?;
        let methods = configuration.methods();
        let many = |error: filter_core::metrics::InvalidMetric| {
            Invalid::at("/policies", "fewer rules", error.to_string())
        };
        let notes = Notes::open(configuration.audited, configuration.dry, metrics).map_err(many)?;
        let fetches = Fetches::open(configuration.issuers.urls(), metrics).map_err(many)?;
        let rules = configuration.rules.len();
        let ledger = Ledger::open::<Reason>(Self::NAME, configuration.rules, metrics);
        let ledger = ledger.map_err(many)?;
        Ok(Self {
            methods,
            issuers: configuration.issuers,
            api_keys: configuration.api_keys,
            policies: configuration.policies,
            passes: Passes::new(&ledger, rules),
            ledger,
            notes,
            fetches,
            form: configuration.form,
            forms: configuration.forms,
            debug_header: configuration.debug_header,
        })
    }

    fn attributes(&self, phase: Phase) -> Vec<Attribute> {
        match phase {
            Phase::Request => {
                let certificate = Attribute::PeerCertificateDigest;
                let bound = self.issuers.ask_for_certificates().then_some(certificate);
                self.policies.attributes().iter().copied().chain(bound).collect()
            }
            Phase::Response | Phase::Log => Vec::new(),
        }
    }

    fn expressions(&self) -> Vec<Stated> {
        self.policies.expressions().to_vec()
    }

    fn on_request(&self, view: &View<'_>, memo: &mut Memo, ports: &Ports<'_>) -> Outcome {
        let reason = match self.issuers.identify(*view, ports) {
            Ok(token) => return self.decide(view, token.as_ref()),
            Err(reason) => reason,
        };
        if let Some((wait, longest)) = self.issuers.wait(reason, ports) {
            memo.wait = Some(wait);
            return hold(longest);
        }
        self.refuse(reason)
    }

    fn on_answer(
        &self,
        view: &View<'_>,
        answer: &Answer,
        memo: &mut Memo,
        ports: &Ports<'_>,
    ) -> Outcome {
        let reason = match self.issuers.identify(*view, ports) {
            Ok(token) => return self.decide(view, token.as_ref()),
            Err(reason) => reason,
        };
        if matches!(answer, Answer::Resumed)
            && let Some(left) =
                memo.wait.as_ref().and_then(|wait| self.issuers.wait_on(wait, ports))
        {
            return hold(left);
        }
        self.refuse(reason)
    }

    fn period(&self) -> Option<Duration> {
        self.issuers.fetches().then_some(PERIOD)
    }

    fn on_tick(&self, ports: &Ports<'_>) -> Chores {
        let resume = self.issuers.look(ports);
        let calls = self.issuers.begin(ports);
        Chores { resume, calls, ..Chores::default() }
    }

    fn on_fetched(&self, errand: Errand, answer: &Answer, ports: &Ports<'_>) -> Chores {
        let ended = self.issuers.end(errand, answer, ports);
        let resume = self.issuers.look(ports);
        let counts = ended.and_then(|fetched| self.fetches.count(errand, fetched));
        Chores { resume, counts: counts.into_iter().collect(), ..Chores::default() }
    }
}

/// Holds the request. Its headers are cleaned when it goes on.
fn hold(longest: Duration) -> Outcome {
    Outcome { verdict: Verdict::Hold(longest), ..Outcome::pass() }
}

impl Authz {
    /// What becomes of a request from whom a token proves, or nobody.
    fn decide(&self, view: &View<'_>, token: Option<&Identity<'_>>) -> Outcome {
        let headers = view.request();
        let key = match self.api_keys.identify(headers) {
            Ok(key) => key,
            Err(reason) => return self.refuse(reason),
        };
        let key = key.as_ref();
        let opinion = self.policies.decide(view, token, key);
        let mut outcome = self.ruled(&opinion.ruling);
        if let Some(aside) = &opinion.aside {
            self.notes.note(aside, &self.ledger, &mut outcome);
        }
        outcome.edits = match outcome.verdict {
            Verdict::Continue => self.edits(token, key, headers),
            Verdict::Reply(_) | Verdict::Await(_) | Verdict::Hold(_) => self.cleaned(),
        };
        outcome
    }

    /// What becomes of a request whose credentials prove nothing.
    #[inline(never)]
    fn refuse(&self, reason: Reason) -> Outcome {
        let reason = self.issuers.for_want_of_keys(reason);
        Outcome { edits: self.cleaned(), ..self.ruled(&Ruling::by_none(reason)) }
    }

    /// What becomes of the headers of a request that is refused, as access logs show them: what we write is not proven.
    #[inline(never)]
    fn cleaned(&self) -> Vec<Edit> {
        self.issuers.unwritten().chain(self.api_keys.edit(None)).collect()
    }

    /// What becomes of the request's headers: what we write is proven, and credentials end here unless they are to be
    /// forwarded.
    fn edits(
        &self,
        token: Option<&Identity<'_>>,
        key: Option<&Client<'_>>,
        headers: Headers<'_>,
    ) -> Vec<Edit> {
        // Room for most: what we write, what names the client, the proof, and the credential.
        let mut edits = Vec::with_capacity(self.issuers.owned.len().saturating_add(3));
        match token.and_then(Identity::edits) {
            Some(written) => edits.extend_from_slice(written),
            None => edits.extend(self.issuers.unwritten()),
        }
        if let Some(edit) = self.api_keys.edit(key) {
            edits.push(edit);
        }
        if let Some(proof) = token.and_then(|token| self.issuers.proof_header(token)) {
            edits.push(Edit::Remove(proof));
        }
        let mut emptied = Emptied::after(edits);
        if let Some(token) = token {
            self.issuers.empty(token, &mut emptied);
        }
        if let Some(key) = key {
            self.api_keys.empty(key, &mut emptied);
        }
        emptied.edits(headers)
    }

    fn ruled(&self, ruling: &Ruling) -> Outcome {
        match self.passes.of(ruling) {
            Some(decision) => Outcome::because(decision.clone()),
            None => self.refused(ruling),
        }
    }

    #[inline(never)]
    fn refused(&self, ruling: &Ruling) -> Outcome {
        let decision = decision(&self.ledger, ruling);
        let form = ruling.place.and_then(|place| self.forms.get(place)?.as_ref());
        let reply =
            form.unwrap_or(&self.form).reply(ruling.reason, ruling.scopes.as_deref(), self.methods);
        let Some(mut reply) = reply else {
            return Outcome::because(decision);
        };
        if let Some(name) = &self.debug_header {
            reply.headers.push((name.clone(), decision.evidence().into()));
        }
        Outcome::reply(reply, decision)
    }
}

/// The decisions that let requests pass. They are made once, as most requests take one of them.
#[derive(Debug)]
struct Passes {
    /// By each rule, in the order of their places.
    by: Vec<Decision>,
    by_none: Decision,
}

impl Passes {
    /// All of them, by so many rules.
    fn new(ledger: &Ledger, rules: usize) -> Self {
        let by = (0..rules).map(|place| ledger.by(place, Reason::Allowed)).collect();
        Self { by, by_none: ledger.by_none(Reason::Allowed) }
    }

    /// The decision that a ruling is; `None` if it refuses.
    fn of(&self, ruling: &Ruling) -> Option<&Decision> {
        match ruling.place {
            _ if ruling.reason != Reason::Allowed => None,
            Some(place) => self.by.get(place),
            None => Some(&self.by_none),
        }
    }
}

/// The decision that a ruling is.
fn decision(ledger: &Ledger, ruling: &Ruling) -> Decision {
    match ruling.place {
        Some(place) => ledger.by(place, ruling.reason),
        None => ledger.by_none(ruling.reason),
    }
}

#[cfg(test)]
mod tests;
