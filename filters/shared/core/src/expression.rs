//! Conditions that the proxy judges: expressions in CEL, the Common Expression Language, over its own attributes.
//!
//! A filter knows them as text. It states those of its configuration, the host has the proxy compile them, and the
//! filter asks whether one holds of the request at hand ([`crate::View::holds`]).

use std::rc::Rc;

/// An expression in CEL; its names are those of Envoy's "Attributes" page.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Expression(Rc<str>);

impl Expression {
    /// The expression of this text; `None` if that is blank. Whether it is one in CEL, the proxy alone can say.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        (!text.trim().is_empty()).then(|| Self(text.into()))
    }

    /// The text.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.0
    }
}

/// An expression as a configuration states it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stated {
    /// Where, as a JSON Pointer (RFC 6901).
    pub pointer: String,
    /// What is stated.
    pub expression: Expression,
}

impl Stated {
    /// The same, in a document that stands at `pointer` in a larger one.
    #[must_use]
    pub fn under(self, pointer: &str) -> Self {
        Self { pointer: format!("{pointer}{}", self.pointer), ..self }
    }
}
