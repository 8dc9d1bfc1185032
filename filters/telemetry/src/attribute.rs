//! Istio's attributegen: attributes that conditions in CEL give values to, the first that holds.

use filter_core::matching::Truth;
use filter_core::{Expression, Publication, Stated, View};

/// An attribute, as a name in filter state.
#[derive(Clone, Debug)]
pub(crate) struct Attribute {
    /// Its name after `wasm.`. It lives as long as the module: a configuration has few.
    pub(crate) name: &'static str,
    /// The values, and when each is the one.
    pub(crate) matches: Vec<Match>,
    /// When the conditions can be judged.
    pub(crate) when: When,
}

/// A value, and when it is the one.
#[derive(Clone, Debug)]
pub(crate) struct Match {
    /// The value.
    pub(crate) value: String,
    /// Always, if there is none.
    pub(crate) condition: Option<Stated>,
}

/// When an attribute's conditions can be judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum When {
    /// When the request arrives: none of them asks for more.
    Arrived,
    /// When it ends.
    Ended,
}

impl When {
    /// What an expression may name that is not there, or not final, before the end. A name that is missed costs a value at
    /// arrival that is not given; one that is found in a string costs the value's being known later.
    const LATE: [&str; 8] = [
        "response",
        "upstream",
        "metadata",
        "filter_state",
        "request.duration",
        "request.size",
        "request.total_size",
        "connection.termination",
    ];

    /// When all of these can be judged.
    pub(crate) fn of<'a>(mut conditions: impl Iterator<Item = &'a Expression>) -> Self {
        let late = conditions
            .any(|condition| Self::LATE.iter().any(|name| condition.text().contains(name)));
        if late { Self::Ended } else { Self::Arrived }
    }
}

impl Attribute {
    /// The value, if a condition holds. One that cannot be judged leaves the attribute without a value, whatever the next
    /// ones say.
    pub(crate) fn value(&self, view: View<'_>) -> Option<&str> {
        for Match { value, condition } in &self.matches {
            let holds =
                condition.as_ref().map_or(Truth::True, |stated| view.holds(&stated.expression));
            match holds {
                Truth::True => return Some(value),
                Truth::False => {}
                Truth::Unknown => return None,
            }
        }
        None
    }

    /// The same, to publish.
    pub(crate) fn publication(&self, view: View<'_>) -> Option<Publication> {
        let value = self.value(view)?.as_bytes().to_vec();
        Some(Publication { name: self.name, value })
    }

    /// Whether it names the operation, as in Istio's documentation.
    pub(crate) fn names_operation(&self) -> bool {
        matches!(self.name, "istio_operationId" | "istio.operationId")
    }

    /// Its conditions.
    pub(crate) fn conditions(&self) -> impl Iterator<Item = &Stated> {
        self.matches.iter().filter_map(|each| each.condition.as_ref())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_asks_for_the_response_is_judged_at_the_end() {
        for (text, when) in [
            ("request.url_path == '/books' && request.method == 'GET'", When::Arrived),
            ("response.code >= 200", When::Ended),
            ("request.path == '/a' && upstream.port == 80", When::Ended),
        ] {
            let expression = Expression::parse(text).unwrap();
            assert_eq!(When::of([expression].iter()), when, "{text}");
        }
    }
}
