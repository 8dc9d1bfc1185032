//! The authz filter: who may do what.
//!
//! A request passes two gates. `token` proves who sent it, if it carries a token, and refuses tokens that prove
//! nothing. `policy` says whether that identity, or nobody, may do what is asked.

mod config;
mod policy;
mod reason;
mod token;

use filter_core::{
    Attribute, Filter, HeaderName, Invalid, Ledger, Metrics, Outcome, Phase, Ports, Reply, Verdict,
    View,
};

use policy::{Policies, Ruling};
pub use reason::Reason;
use token::Issuers;

/// The filter.
#[derive(Debug)]
pub struct Authz {
    issuers: Issuers,
    policies: Policies,
    ledger: Ledger,
}

impl Filter for Authz {
    const NAME: &'static str = "authz";

    type Memo = ();

    fn configure(document: &[u8], metrics: &mut Metrics) -> Result<Self, Invalid> {
        let config::Configuration { issuers, policies, rules } = config::compile(document)?;
        let ledger = Ledger::open::<Reason>(Self::NAME, rules, metrics)
            .map_err(|error| Invalid::at("/policies", "fewer rules", error.to_string()))?;
        Ok(Self { issuers, policies, ledger })
    }

    fn attributes(&self, phase: Phase) -> Vec<Attribute> {
        let certificates = phase == Phase::Request && self.issuers.ask_for_certificates();
        if certificates { vec![Attribute::PeerCertificateDigest] } else { vec![] }
    }

    fn on_request(&self, view: &View<'_>, (): &mut (), ports: &Ports<'_>) -> Outcome {
        let headers = view.request();
        let proven = self.issuers.identify(*view, ports);
        let ruling = match &proven {
            Ok(identity) => self.policies.decide(headers, identity.as_ref()),
            Err(reason) => Ruling { reason: *reason, place: None },
        };
        let mut outcome = self.outcome(ruling);
        // A refused request is cleaned too: access logs show its headers.
        let admitted = proven.ok().flatten().filter(|_| outcome.verdict == Verdict::Continue);
        outcome.edits = self.issuers.edits(admitted.as_ref(), headers);
        outcome
    }
}

impl Authz {
    fn outcome(&self, ruling: Ruling) -> Outcome {
        let decision = match ruling.place {
            Some(place) => self.ledger.by(place, ruling.reason),
            None => self.ledger.by_none(ruling.reason),
        };
        let Some(answer) = ruling.reason.answer() else {
            return Outcome::because(decision);
        };
        let challenge = answer.challenge.map(|challenge| {
            (HeaderName::literal("www-authenticate"), challenge.as_bytes().to_vec())
        });
        let reply = Reply {
            status: answer.status,
            grpc_status: answer.grpc_status,
            headers: challenge.into_iter().collect(),
            body: format!("authz: {}", decision.reason).into_bytes(),
            details: String::new(),
        };
        Outcome::reply(reply, decision)
    }
}

#[cfg(test)]
mod tests;
