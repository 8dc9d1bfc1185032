//! Expressions in CEL: compiled by the proxy when a plugin is configured, evaluated over the exchange at hand.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use filter_core::matching::Truth;
use filter_core::{Expression, Invalid, Stated};

use crate::abi::{self, Status};
use crate::wire;

/// An expression that the proxy compiled, by its token. The proxy keeps it for the root context, and forgets it with
/// this.
pub(crate) struct Compiled([u8; 4]);

impl Compiled {
    /// Has the proxy compile it. The root context, or one of its streams, must be the current one.
    pub(crate) fn new(text: &str) -> Result<Self, Status> {
        let token = abi::call_foreign("expr_create", text.as_bytes())?;
        token.try_into().map(Self).map_err(|_| Status::NONSENSE)
    }

    /// What it yields of the exchange whose callback the proxy runs, be another context effective or not.
    pub(crate) fn evaluate(&self) -> Result<Vec<u8>, Status> {
        abi::call_foreign("expr_evaluate", &self.0)
    }
}

impl Drop for Compiled {
    fn drop(&mut self) {
        // What cannot be forgotten now goes with the root context.
        let _ = abi::call_foreign("expr_delete", &self.0);
    }
}

/// The conditions that a filter states for one phase, compiled.
#[derive(Default)]
pub(crate) struct Conditions(BTreeMap<Expression, Compiled>);

impl Conditions {
    /// Has the proxy compile all of them, each once. The root context must be the current one.
    ///
    /// # Errors
    /// The first that the proxy cannot compile, where it stands.
    pub(crate) fn compile(stated: Vec<Stated>) -> Result<Self, Invalid> {
        let mut compiled = BTreeMap::new();
        for Stated { pointer, expression } in stated {
            if let Entry::Vacant(vacant) = compiled.entry(expression) {
                let text = vacant.key().text();
                let condition = condition(text).map_err(|status| refusal(pointer, text, status))?;
                vacant.insert(condition);
            }
        }
        Ok(Self(compiled))
    }

    /// Whether an expression holds of the exchange whose callback the proxy runs.
    pub(crate) fn judge(&self, expression: &Expression) -> Truth {
        let compiled = self.0.get(expression);
        let yielded = compiled.and_then(|compiled| compiled.evaluate().ok());
        yielded.map_or(Truth::Unknown, |bytes| wire::truth(&bytes))
    }

    /// Every expression.
    pub(crate) fn expressions(&self) -> impl Iterator<Item = &Expression> {
        self.0.keys()
    }
}

/// Compiles an expression so that it yields a boolean or fails: a text of one byte would come to us as a boolean does,
/// but cannot be chosen by. It is compiled by itself first, as `a) || (b` is an expression in brackets only.
fn condition(text: &str) -> Result<Compiled, Status> {
    drop(Compiled::new(text)?);
    // The line ends a comment at the end of the text.
    Compiled::new(&format!("({text}\n) ? true : false"))
}

fn refusal(pointer: String, text: &str, status: Status) -> Invalid {
    let expected = match status {
        Status::NOT_FOUND => "no condition, as this proxy has no CEL",
        _ => {
            "an expression in CEL that the proxy compiles (its log, at level info, has its reason)"
        }
    };
    Invalid::at(pointer, expected, format!("{text:?}"))
}
