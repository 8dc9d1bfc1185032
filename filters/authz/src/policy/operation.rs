//! What a rule is about: `Operation` of Istio's `AuthorizationPolicy`.

use filter_core::matching::{About, HostPattern, PathPattern, PathTemplate, StringPattern, Truth};

use super::Facts;

/// One field and its `not` twin: one of `values` must match, and none of `not_values` may.
#[derive(Clone, Debug)]
pub(crate) struct Field<T> {
    /// `None` for any.
    pub(crate) values: Option<Vec<T>>,
    /// `None` for no exception.
    pub(crate) not_values: Option<Vec<T>>,
}

impl<T> Default for Field<T> {
    fn default() -> Self {
        Self { values: None, not_values: None }
    }
}

impl<T> Field<T> {
    /// Whether the field holds, where `any` says whether any item of a list matches.
    pub(crate) fn holds(&self, any: impl Fn(&[T]) -> Truth) -> Truth {
        let values = self.values.as_ref().map_or(Truth::True, |values| any(values));
        values.and(|| !self.not_values.as_ref().map_or(Truth::False, |values| any(values)))
    }

    /// Whether the field says nothing.
    pub(crate) fn is_empty(&self) -> bool {
        self.values.is_none() && self.not_values.is_none()
    }

    /// All items, excepted ones too.
    pub(crate) fn items(&self) -> impl Iterator<Item = &T> {
        self.values.iter().chain(&self.not_values).flatten()
    }
}

/// A predicate over what a request asks for: every field that says something holds.
#[derive(Clone, Debug, Default)]
pub(crate) struct Operation {
    /// `hosts`.
    pub(crate) hosts: Field<HostPattern>,
    /// `methods`.
    pub(crate) methods: Field<StringPattern>,
    /// `paths`.
    pub(crate) paths: Field<PathPattern>,
    /// `ports`: that which the client connected to.
    pub(crate) ports: Field<u16>,
}

impl Operation {
    /// Whether the request is one of those meant.
    pub(crate) fn matches(&self, facts: &Facts<'_>) -> Truth {
        let line = &facts.line;
        // The cheapest first.
        self.methods
            .holds(|methods| methods.iter().any(|method| method.matches(line.method)).into())
            .and(|| {
                self.paths.holds(|paths| Truth::any(paths.iter().map(|path| line.path_is(path))))
            })
            .and(|| {
                self.hosts.holds(|hosts| Truth::any(hosts.iter().map(|host| line.host_is(host))))
            })
            .and(|| self.ports.holds(|ports| is_port(facts, ports)))
    }

    /// Whether the operation says nothing.
    pub(crate) fn is_empty(&self) -> bool {
        self.hosts.is_empty()
            && self.methods.is_empty()
            && self.paths.is_empty()
            && self.ports.is_empty()
    }

    /// What the operation is about, to be found by.
    pub(crate) fn about(&self) -> About<'_> {
        About {
            hosts: self.hosts.values.as_deref(),
            methods: self.methods.values.as_deref(),
            paths: self.paths.values.as_deref(),
        }
    }

    /// The templates by which the request's path is one that is meant.
    pub(crate) fn templates(&self, facts: &Facts<'_>) -> impl Iterator<Item = &PathTemplate> {
        let patterns = self.paths.values.iter().flatten();
        patterns.filter_map(|pattern| match pattern {
            PathPattern::Template(template) if facts.line.path_is(pattern) == Truth::True => {
                Some(template)
            }
            PathPattern::Template(_) | PathPattern::String(_) | PathPattern::Regex(_) => None,
        })
    }
}

/// Whether the client connected to one of these ports.
pub(crate) fn is_port(facts: &Facts<'_>, ports: &[u16]) -> Truth {
    match facts.port() {
        None => facts.reading.unknown(),
        Some(port) => ports.iter().any(|other| i64::from(*other) == port).into(),
    }
}
