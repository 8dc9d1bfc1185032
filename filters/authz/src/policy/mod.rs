//! Who may do what: Istio's `AuthorizationPolicy`, in three values.
//!
//! In reading order: [`facts`] is what a request is known by, [`operation`] what it asks for, [`condition`] what must
//! hold of it, [`rule`] the two together; [`set`] puts rules in order, and leaves out those that cannot match.

pub(crate) mod condition;
pub(crate) mod facts;
mod glob;
pub(crate) mod line;
pub(crate) mod operation;
pub(crate) mod peer;
pub(crate) mod principal;
pub(crate) mod rule;
pub(crate) mod set;
pub(crate) mod text;
mod xfcc;

use std::rc::Rc;

use filter_core::matching::Truth;
use filter_core::{Attribute, Stated, View};

pub(crate) use facts::Facts;
use line::Line;
pub(crate) use rule::Rule;
use set::Set;
pub(crate) use xfcc::Xfcc;

use crate::Reason;
use crate::api_key::Client;
use crate::token::Identity;

/// Whose reading of policies holds where Istio's lets through what it should not, or cannot tell.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Reading {
    /// Ours: canonical paths and hosts, all copies of headers, and a third value for what cannot be told.
    #[default]
    Strict,
    /// What Envoy makes of Istio's policies (`compat: istio`): paths and hosts as sent, and two values.
    Istio,
}

impl Reading {
    /// What cannot be told: in Envoy, that it does not match.
    pub(crate) fn unknown(self) -> Truth {
        match self {
            Self::Strict => Truth::Unknown,
            Self::Istio => Truth::False,
        }
    }
}

/// What a policy does with what its rules match.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Action {
    /// Lets it pass, if nothing denies it. Where there are such policies, only what they match passes.
    #[default]
    Allow,
    /// Refuses it.
    Deny,
    /// Notes it.
    Audit,
    /// Refuses what a rule is about (`to`) and does not come as the rule says (`from`, `when`).
    Require,
}

/// All policies, compiled.
#[derive(Clone, Debug, Default)]
pub(crate) struct Policies {
    enforced: Set,
    /// All policies, those that run dry included; `None` when none does.
    proposed: Option<Set>,
    reading: Reading,
    xfcc: Option<Xfcc>,
    attributes: Vec<Attribute>,
    expressions: Vec<Stated>,
}

/// What the policies say: why, and by which rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Ruling {
    /// Why.
    pub(crate) reason: Reason,
    /// The rule's place in the ledger; `None` when no rule decided.
    pub(crate) place: Option<usize>,
    /// The scopes that a token would need to be let in.
    pub(crate) scopes: Option<Rc<str>>,
}

impl Ruling {
    /// The ruling of a rule.
    pub(crate) fn by(rule: &Rule, reason: Reason) -> Self {
        Self { reason, place: Some(rule.place), scopes: None }
    }

    /// A ruling that no rule took.
    pub(crate) fn by_none(reason: Reason) -> Self {
        Self { reason, place: None, scopes: None }
    }
}

/// Everything that the policies say of one request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Opinion {
    /// What becomes of it.
    pub(crate) ruling: Ruling,
    /// What is noted besides; `None` where nothing ever is.
    pub(crate) aside: Option<Box<Aside>>,
}

/// What policies say of a request that makes no difference to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Aside {
    /// What would become of it if the policies that run dry were enforced; `None` if none does.
    pub(crate) proposed: Option<Ruling>,
    /// The places of the rules of AUDIT policies that match, or cannot be told not to.
    pub(crate) noted: Vec<usize>,
}

impl Policies {
    /// No policies, to add to.
    pub(crate) fn new(reading: Reading) -> Self {
        Self { reading, ..Self::default() }
    }

    /// Proxies before us are believed to tell who asks.
    pub(crate) fn believe(&mut self, xfcc: Xfcc) {
        self.xfcc = Some(xfcc);
    }

    /// Adds a policy: what it does, whether it runs dry, and its rules.
    pub(crate) fn add(&mut self, action: Action, dry: bool, rules: Vec<Rule>) {
        let rules: Vec<Rc<Rule>> = rules.into_iter().map(Rc::new).collect();
        for attribute in rules.iter().flat_map(|rule| rule.attributes()) {
            if !self.attributes.contains(&attribute) {
                self.attributes.push(attribute);
            }
        }
        self.expressions.extend(rules.iter().filter_map(|rule| rule.condition.clone()));
        if dry {
            let enforced = &self.enforced;
            self.proposed.get_or_insert_with(|| enforced.clone()).add(action, &rules);
        } else {
            self.enforced.add(action, &rules);
            if let Some(proposed) = &mut self.proposed {
                proposed.add(action, &rules);
            }
        }
    }

    /// Makes the policies ready to decide, once all are added.
    pub(crate) fn seal(&mut self) {
        self.enforced.seal();
        if let Some(proposed) = &mut self.proposed {
            proposed.seal();
        }
    }

    /// The attributes that rules ask for.
    pub(crate) fn attributes(&self) -> &[Attribute] {
        &self.attributes
    }

    /// The expressions that rules ask about.
    pub(crate) fn expressions(&self) -> &[Stated] {
        &self.expressions
    }

    /// What the policies say of a request from whom a token and an API key prove, or nobody.
    pub(crate) fn decide(
        &self,
        view: &View<'_>,
        identity: Option<&Identity<'_>>,
        client: Option<&Client<'_>>,
    ) -> Opinion {
        if self.enforced.is_empty() && self.proposed.is_none() {
            return Opinion { ruling: Ruling::by_none(Reason::Allowed), aside: None };
        }
        let line = Line::of(view.request(), self.reading);
        let facts = Facts::new(*view, &line, identity, client, self);
        let has_asides = self.proposed.is_some() || self.enforced.audits();
        Opinion {
            ruling: self.enforced.decide(&facts),
            aside: has_asides.then(|| self.aside(&facts)),
        }
    }

    #[inline(never)]
    fn aside(&self, facts: &Facts<'_>) -> Box<Aside> {
        Box::new(Aside {
            proposed: self.proposed.as_ref().map(|set| set.decide(facts)),
            noted: self.enforced.noted(facts),
        })
    }
}

#[cfg(test)]
mod tests;
