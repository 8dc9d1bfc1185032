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
use policy::{Opinion, Policies, Ruling};
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
        let ledger = Ledger::open::<Reason>(Self::NAME, configuration.rules, metrics);
        Ok(Self {
            methods,
            issuers: configuration.issuers,
            api_keys: configuration.api_keys,
            policies: configuration.policies,
            ledger: ledger.map_err(many)?,
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
        let proven = self.issuers.identify(*view, ports);
        if let Err(reason) = proven
            && let Some((wait, longest)) = self.issuers.wait(reason, ports)
        {
            memo.wait = Some(wait);
            return hold(longest);
        }
        self.decide(view, proven)
    }

    fn on_answer(
        &self,
        view: &View<'_>,
        answer: &Answer,
        memo: &mut Memo,
        ports: &Ports<'_>,
    ) -> Outcome {
        let proven = self.issuers.identify(*view, ports);
        if proven.is_err()
            && matches!(answer, Answer::Resumed)
            && let Some(left) =
                memo.wait.as_ref().and_then(|wait| self.issuers.wait_on(wait, ports))
        {
            return hold(left);
        }
        self.decide(view, proven)
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
    fn decide(&self, view: &View<'_>, proven: Result<Option<Identity<'_>>, Reason>) -> Outcome {
        let headers = view.request();
        let proven = proven.map_err(|reason| self.issuers.for_want_of_keys(reason));
        let proven = proven.and_then(|token| Ok((token, self.api_keys.identify(headers)?)));
        let mut outcome = match &proven {
            Ok((token, key)) => {
                self.judged(&self.policies.decide(view, token.as_ref(), key.as_ref()))
            }
            Err(reason) => self.ruled(&Ruling::by_none(*reason)),
        };
        // A refused request is cleaned too: access logs show its headers.
        let admitted = proven.ok().filter(|_| outcome.verdict == Verdict::Continue);
        let (token, key) = admitted.unwrap_or_default();
        outcome.edits = self.edits(token.as_ref(), key.as_ref(), headers);
        outcome
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
        match token {
            Some(token) => edits.extend_from_slice(token.edits()),
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

    fn judged(&self, opinion: &Opinion) -> Outcome {
        let mut outcome = self.ruled(&opinion.ruling);
        self.notes.note(opinion, &self.ledger, &mut outcome);
        outcome
    }

    fn ruled(&self, ruling: &Ruling) -> Outcome {
        let decision = decision(&self.ledger, ruling);
        let form = ruling.place.and_then(|place| self.forms.get(place)?.as_ref());
        let reply =
            form.unwrap_or(&self.form).reply(ruling.reason, ruling.scopes.as_deref(), self.methods);
        let Some(mut reply) = reply else {
            return Outcome::because(decision);
        };
        if let Some(name) = &self.debug_header {
            reply.headers.push((name.clone(), decision.evidence().into_bytes()));
        }
        Outcome::reply(reply, decision)
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
