//! Which requests an exclusion, a segment or an override is about: an element of a list, of which any may hold.

use filter_core::Attribute;
use filter_core::matching::{Condition, Operation, Truth};

use crate::request::Request;

/// Requests: both what is asked for and every condition hold.
#[derive(Clone, Debug)]
pub(crate) struct Selector {
    pub(crate) about: Option<Operation>,
    pub(crate) when: Vec<Condition>,
}

impl Selector {
    fn holds(&self, request: &Request<'_>) -> Truth {
        let about = self.about.as_ref();
        let about = about.map_or(Truth::True, |about| about.matches(request.facts.line()));
        let each = self.when.iter();
        each.fold(about, |holds, condition| holds.and(|| condition.holds(&request.facts)))
    }

    /// Whether the request is meant, for what it would gain by it.
    pub(crate) fn surely_means(&self, request: &Request<'_>) -> bool {
        self.holds(request) == Truth::True
    }

    /// Whether the request may be meant, for what it would be kept from.
    pub(crate) fn may_mean(&self, request: &Request<'_>) -> bool {
        self.holds(request) != Truth::False
    }

    /// The attributes that it asks for.
    pub(crate) fn attributes(&self) -> impl Iterator<Item = Attribute> {
        self.when.iter().filter_map(Condition::attribute)
    }
}
