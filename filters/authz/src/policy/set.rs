//! Policies in order: AUDIT takes note, DENY comes before REQUIRE, REQUIRE before ALLOW.

use std::rc::Rc;

use filter_core::matching::{About, Index, Truth};

use super::condition::Assume;
use super::{Action, Facts, Reading, Rule, Ruling};
use crate::Reason;

/// Policies that hold together.
#[derive(Clone, Debug, Default)]
pub(crate) struct Set {
    audit: List,
    deny: List,
    require: List,
    /// `None` without such policies, when everything else is allowed.
    allow: Option<List>,
}

/// Fewer steps are gone through for less than an index costs. A look into one touches some 350 instructions that
/// nothing else does, and executes some 700; an operation that is not meant executes some 150, all of them touched anyway.
const WORTH_AN_INDEX: usize = 12;

/// Rules in order, and how to find those that may match.
#[derive(Clone, Debug, Default)]
struct List {
    rules: Vec<Rc<Rule>>,
    index: Option<Index>,
}

/// How many steps it may take to see that a rule is not meant. An operation is not by the first of its lists without a match.
fn walk(rule: &Rule) -> usize {
    let operation = |about: &About<'_>| {
        let hosts = about.hosts.map_or(1, <[_]>::len);
        hosts.max(about.methods.map_or(1, <[_]>::len)).max(about.paths.map_or(1, <[_]>::len))
    };
    rule.about().iter().map(operation).sum::<usize>().max(1)
}

impl List {
    /// What the first rule answers that answers anything, of those that may match.
    fn find<T>(&self, facts: &Facts<'_>, mut ask: impl FnMut(&Rule) -> Option<T>) -> Option<T> {
        match self.index.as_ref().and_then(|index| facts.line.candidates(index)) {
            None => self.rules.iter().find_map(|rule| ask(rule)),
            Some(candidates) => candidates
                .into_iter()
                .filter_map(|at| self.rules.get(at))
                .find_map(|rule| ask(rule)),
        }
    }
}

impl Set {
    /// Adds a policy.
    pub(crate) fn add(&mut self, action: Action, rules: &[Rc<Rule>]) {
        let list = match action {
            Action::Audit => &mut self.audit,
            Action::Deny => &mut self.deny,
            Action::Require => &mut self.require,
            Action::Allow => self.allow.get_or_insert_default(),
        };
        list.rules.extend(rules.iter().cloned());
    }

    /// Makes the indexes, once all policies are added.
    pub(crate) fn seal(&mut self) {
        let lists = [&mut self.audit, &mut self.deny, &mut self.require];
        for list in lists.into_iter().chain(&mut self.allow) {
            if list.rules.iter().map(|rule| walk(rule)).sum::<usize>() >= WORTH_AN_INDEX {
                list.index = Index::over(list.rules.iter().map(|rule| rule.about()));
            }
        }
    }

    /// Whether there are no policies.
    pub(crate) fn is_empty(&self) -> bool {
        let lists = [&self.audit, &self.deny, &self.require];
        lists.iter().all(|list| list.rules.is_empty()) && self.allow.is_none()
    }

    /// Whether there are AUDIT rules.
    pub(crate) fn audits(&self) -> bool {
        !self.audit.rules.is_empty()
    }

    /// The places of the AUDIT rules that match, or cannot be told not to.
    pub(crate) fn noted(&self, facts: &Facts<'_>) -> Vec<usize> {
        let mut noted = Vec::new();
        let _: Option<()> = self.audit.find(facts, |rule| {
            if rule.holds(facts, Assume::Nothing) != Truth::False {
                noted.push(rule.place);
            }
            None
        });
        noted
    }

    /// Whether the request may pass: no DENY rule can match it, every REQUIRE rule about it is met, and an ALLOW rule
    /// does match it, if there are any.
    pub(crate) fn decide(&self, facts: &Facts<'_>) -> Ruling {
        let refused = self.deny.find(facts, |rule| denied(rule, facts));
        let refused = refused.or_else(|| self.require.find(facts, |rule| unmet(rule, facts)));
        if let Some(refused) = refused {
            return refused;
        }
        let Some(allow) = &self.allow else {
            return Ruling::by_none(Reason::Allowed);
        };
        let allowed = allow.find(facts, |rule| {
            let holds = rule.holds(facts, Assume::Nothing) == Truth::True;
            holds.then(|| Ruling::by(rule, Reason::Allowed))
        });
        allowed.unwrap_or_else(|| {
            let wanting = allow.find(facts, |rule| wanting(rule, facts));
            wanting.unwrap_or_else(|| Ruling::by_none(Reason::NotAllowed))
        })
    }
}

fn denied(rule: &Rule, facts: &Facts<'_>) -> Option<Ruling> {
    if rule.holds(facts, Assume::Nothing) == Truth::False {
        return None;
    }
    let by_path = facts.line.path().is_err() && rule.asked(facts) == Truth::Unknown;
    Some(Ruling::by(rule, if by_path { Reason::PathAmbiguous } else { Reason::Denied }))
}

fn unmet(rule: &Rule, facts: &Facts<'_>) -> Option<Ruling> {
    let about = rule.asked(facts) != Truth::False;
    (about && rule.holds(facts, Assume::Nothing) != Truth::True)
        .then(|| wanting(rule, facts).unwrap_or_else(|| Ruling::by(rule, Reason::RequirementUnmet)))
}

/// Whether it is only the credential that keeps the rule from matching: that there is none, or what the token is good
/// for.
fn wanting(rule: &Rule, facts: &Facts<'_>) -> Option<Ruling> {
    if facts.reading == Reading::Istio {
        return None;
    }
    let (assume, reason) = match (facts.identity, facts.client) {
        (None, None) => (Assume::Credentials, Reason::Unauthenticated),
        (Some(_), _) => (Assume::Scopes, Reason::InsufficientScope),
        (None, Some(_)) => return None,
    };
    (rule.holds(facts, assume) == Truth::True).then(|| {
        let scopes = rule.scopes.clone().filter(|_| reason == Reason::InsufficientScope);
        Ruling { scopes, ..Ruling::by(rule, reason) }
    })
}

#[cfg(test)]
mod tests {
    use filter_core::{Filter as _, Metrics};
    use serde_json::{Value, json};

    use crate::Authz;

    /// Whether so many rules, each about one thing, have an index.
    fn is_indexed(rules: usize, operation: &Value) -> bool {
        let rule = json!({ "to": [{ "operation": operation }] });
        let policy = json!({ "name": "p", "rules": vec![rule; rules] });
        let document = json!({ "policies": [policy] }).to_string();
        let authz = Authz::configure(document.as_bytes(), &mut Metrics::default()).unwrap();
        authz.policies.enforced.allow.unwrap().index.is_some()
    }

    #[test]
    fn an_index_is_made_by_what_would_be_gone_through() {
        let one = json!({ "methods": ["GET"], "paths": ["/a"] });
        assert!(!is_indexed(11, &one) && is_indexed(12, &one));
        let paths: Vec<String> = (0..100).map(|number| format!("/a/{number}")).collect();
        assert!(is_indexed(11, &json!({ "paths": paths })));
    }
}
