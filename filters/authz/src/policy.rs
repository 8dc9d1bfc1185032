//! Who may do what: Istio's `AuthorizationPolicy`, DENY before ALLOW, in three values.

use filter_core::Headers;
use filter_core::matching::{NonEmpty, Operation, RequestLine, StringPattern, Truth};

use crate::Reason;
use crate::token::{ClaimPath, Identity, Principal};

/// All policies, compiled.
#[derive(Clone, Debug, Default)]
pub(crate) struct Policies {
    /// The rules of all DENY policies, in order.
    pub(crate) deny: Vec<Rule>,
    /// The rules of all ALLOW policies, in order; `None` without such policies, when everything else is allowed.
    pub(crate) allow: Option<Vec<Rule>>,
}

/// One rule: some operation, from some source, on every condition.
#[derive(Clone, Debug)]
pub(crate) struct Rule {
    /// The rule's place in the ledger.
    pub(crate) place: usize,
    /// The operations, one of which must be asked for; empty for any.
    pub(crate) to: Vec<Operation>,
    /// The sources, one of which the request must come from; empty for any.
    pub(crate) from: Vec<Condition>,
    /// The conditions, all of which must hold.
    pub(crate) when: Vec<Condition>,
}

/// A predicate over the identity.
#[derive(Clone, Debug)]
pub(crate) struct Condition {
    /// What is compared.
    pub(crate) attribute: Attribute,
    /// One of these must match.
    pub(crate) values: Option<NonEmpty<StringPattern>>,
    /// None of these may match.
    pub(crate) not_values: Option<NonEmpty<StringPattern>>,
}

/// What a condition compares.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Attribute {
    /// `request.auth.principal`.
    Principal,
    /// A claim.
    Claim(ClaimPath),
}

/// What the policies say: why, and by which rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ruling {
    /// Why.
    pub(crate) reason: Reason,
    /// The rule's place in the ledger; `None` when no rule decided.
    pub(crate) place: Option<usize>,
}

impl Policies {
    /// Whether a request may pass: no DENY rule can match it, and an ALLOW rule does match it, if there are any.
    pub(crate) fn decide(&self, headers: Headers<'_>, identity: Option<&Identity<'_>>) -> Ruling {
        let passed = Ruling { reason: Reason::Allowed, place: None };
        if self.deny.is_empty() && self.allow.is_none() {
            return passed;
        }
        let line = RequestLine::of(headers);
        for rule in &self.deny {
            let asked = rule.asked(&line);
            if asked.and(|| rule.met(identity)) == Truth::False {
                continue;
            }
            let reason = if asked == Truth::Unknown && line.path().is_err() {
                Reason::PathAmbiguous
            } else {
                Reason::Denied
            };
            return Ruling { reason, place: Some(rule.place) };
        }
        let Some(allow) = &self.allow else {
            return passed;
        };
        let mut wanting = None;
        for rule in allow {
            if rule.asked(&line) != Truth::True {
                continue;
            }
            if rule.met(identity) == Truth::True {
                return Ruling { reason: Reason::Allowed, place: Some(rule.place) };
            }
            wanting = wanting.or(Some(rule.place));
        }
        match (identity, wanting) {
            // Without a token only what asks for an identity can fail, so one could have helped.
            (None, Some(_)) => Ruling { reason: Reason::Unauthenticated, place: wanting },
            _ => Ruling { reason: Reason::NotAllowed, place: None },
        }
    }
}

impl Rule {
    /// Whether the rule is about what the request asks for.
    fn asked(&self, line: &RequestLine<'_>) -> Truth {
        if self.to.is_empty() {
            return Truth::True;
        }
        Truth::any(self.to.iter().map(|operation| operation.matches(line)))
    }

    /// Whether the rule is about who asks.
    fn met(&self, identity: Option<&Identity<'_>>) -> Truth {
        let from = match self.from.as_slice() {
            [] => Truth::True,
            sources => Truth::any(sources.iter().map(|source| source.holds(identity))),
        };
        self.when.iter().fold(from, |met, condition| met.and(|| condition.holds(identity)))
    }
}

impl Condition {
    /// Whether the identity is as the condition says. Without one, nothing matches, and so every `not` holds.
    fn holds(&self, identity: Option<&Identity<'_>>) -> Truth {
        let any = |patterns: &NonEmpty<StringPattern>| {
            identity.map_or(Truth::False, |identity| self.attribute.matches(identity, patterns))
        };
        let values = self.values.as_ref().map_or(Truth::True, any);
        values.and(|| !self.not_values.as_ref().map_or(Truth::False, any))
    }
}

impl Attribute {
    /// The attribute that a condition's `key` names, if it is one of ours.
    pub(crate) fn parse(key: &str) -> Option<Self> {
        match key {
            "request.auth.principal" => Some(Self::Principal),
            "request.auth.audiences" => Some(Self::Claim(ClaimPath::top("aud"))),
            "request.auth.presenter" => Some(Self::Claim(ClaimPath::top("azp"))),
            _ => {
                let claim = key.strip_prefix("request.auth.claims")?;
                ClaimPath::in_brackets(claim).map(Self::Claim)
            }
        }
    }

    fn matches(&self, identity: &Identity<'_>, patterns: &NonEmpty<StringPattern>) -> Truth {
        let any = |text: &str| patterns.iter().any(|pattern| pattern.matches(text.as_bytes()));
        match (self, &identity.principal) {
            (Self::Claim(path), _) => path.texts(&identity.claims).any(any).into(),
            (Self::Principal, Principal::Named(principal)) => any(principal).into(),
            (Self::Principal, Principal::None) => Truth::False,
            (Self::Principal, Principal::Ambiguous) => Truth::Unknown,
        }
    }
}
