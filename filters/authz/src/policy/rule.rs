//! One rule: some operation, from some source, on every condition, the proxy's last.

use std::rc::Rc;

use filter_core::matching::{About, Truth};
use filter_core::{Attribute, Stated};

use super::Facts;
use super::condition::{Assume, Condition};
use super::operation::Operation;
use super::text::Matched;

/// One rule of a policy.
#[derive(Clone, Debug)]
pub(crate) struct Rule {
    /// The rule's place in the ledger.
    pub(crate) place: usize,
    /// The operations, one of which must be asked for; empty for any.
    pub(crate) to: Vec<Operation>,
    /// The sources, one of which the request must come from, in all its fields; empty for any.
    pub(crate) from: Vec<Vec<Condition>>,
    /// The conditions, all of which must hold.
    pub(crate) when: Vec<Condition>,
    /// What the proxy must find to hold besides, in CEL.
    pub(crate) condition: Option<Stated>,
    /// Whether conditions refer to variables of the path.
    pub(crate) variables: bool,
    /// The scopes that a token needs for the conditions on them, for the challenge.
    pub(crate) scopes: Option<Rc<str>>,
}

impl Rule {
    /// What the rule is about, to be found by.
    pub(crate) fn about(&self) -> Vec<About<'_>> {
        self.to.iter().map(Operation::about).collect()
    }

    /// Whether the rule is about what the request asks for.
    pub(crate) fn asked(&self, facts: &Facts<'_>) -> Truth {
        match self.to.as_slice() {
            [] => Truth::True,
            [operation] => operation.matches(facts),
            operations => Truth::any(operations.iter().map(|operation| operation.matches(facts))),
        }
    }

    /// Whether the rule matches the request. The proxy is asked last, as that costs more than all the rest, and what it
    /// cannot tell is unknown in every reading: Istio, whose rules have no such condition, has none of it.
    pub(crate) fn holds(&self, facts: &Facts<'_>, assume: Assume) -> Truth {
        self.fits(facts, assume).and(|| match &self.condition {
            Some(stated) => facts.holds(&stated.expression),
            None => Truth::True,
        })
    }

    /// Whether the rule matches the request as far as we can tell.
    fn fits(&self, facts: &Facts<'_>, assume: Assume) -> Truth {
        if self.variables {
            return self.fits_with_variables(facts, assume);
        }
        self.asked(facts).and(|| self.met(facts, None, assume))
    }

    /// The same where conditions refer to variables of the path.
    #[inline(never)]
    fn fits_with_variables(&self, facts: &Facts<'_>, assume: Assume) -> Truth {
        Truth::any(self.to.iter().map(|operation| {
            let asked = operation.matches(facts);
            if asked == Truth::False {
                return asked;
            }
            let mut templates = operation.templates(facts).peekable();
            if templates.peek().is_none() {
                return asked.and(|| self.met(facts, None, assume));
            }
            let met = templates.map(|template| self.met(facts, Some(template), assume));
            asked.and(|| Truth::any(met))
        }))
    }

    /// Whether the rule is about who asks, and how.
    fn met(&self, facts: &Facts<'_>, matched: Matched<'_>, assume: Assume) -> Truth {
        let from = match self.from.as_slice() {
            [] => Truth::True,
            [source] => all(source, facts, matched, assume),
            sources => {
                let met = |source: &Vec<Condition>| all(source, facts, matched, assume);
                Truth::any(sources.iter().map(met))
            }
        };
        from.and(|| all(&self.when, facts, matched, assume))
    }

    /// All conditions.
    pub(crate) fn conditions(&self) -> impl Iterator<Item = &Condition> {
        self.from.iter().flatten().chain(&self.when)
    }

    /// The attributes that the rule asks for.
    pub(crate) fn attributes(&self) -> impl Iterator<Item = Attribute> {
        let ports = self.to.iter().any(|operation| !operation.ports.is_empty());
        let own = ports.then_some(Attribute::DestinationPort);
        self.conditions().filter_map(Condition::attribute).chain(own)
    }
}

/// Whether all conditions hold.
#[inline(never)]
fn all(conditions: &[Condition], facts: &Facts<'_>, matched: Matched<'_>, assume: Assume) -> Truth {
    let mut met = Truth::True;
    for condition in conditions {
        match condition.holds(facts, matched, assume) {
            Truth::True => {}
            Truth::False => return Truth::False,
            Truth::Unknown => met = Truth::Unknown,
        }
    }
    met
}
