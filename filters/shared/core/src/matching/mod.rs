//! The language in which rules select requests, the one of Istio's `AuthorizationPolicy`: [`Operation`] over
//! [`string::StringPattern`], [`path::PathPattern`] and [`host::HostPattern`], and [`Condition`] over the rest of a
//! request, decided in three values; [`Index`] finds the rules that may be about one.

mod bytes;
pub mod condition;
pub mod facts;
pub mod host;
pub mod index;
pub mod ip;
pub mod operation;
pub mod part;
pub mod path;
pub mod regex;
pub mod string;
pub mod template;

use std::ops::Not;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer};

pub use condition::{Condition, RawCondition};
pub use facts::Facts;
pub use host::HostPattern;
pub use index::{About, Index};
pub use ip::IpBlock;
pub use operation::{Operation, RequestLine};
pub use path::{Ambiguous, PathPattern};
pub use regex::Regex;
pub use string::StringPattern;
pub use template::PathTemplate;

/// Whether a predicate holds (Kleene's logic). A rule that denies must treat [`Truth::Unknown`] as a match, a rule
/// that allows must not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Truth {
    /// It holds.
    True,
    /// It does not hold.
    False,
    /// It cannot be told.
    Unknown,
}

impl Truth {
    /// Both hold.
    #[must_use]
    pub fn and(self, other: impl FnOnce() -> Self) -> Self {
        match self {
            Self::False => Self::False,
            Self::True => other(),
            Self::Unknown => match other() {
                Self::False => Self::False,
                Self::True | Self::Unknown => Self::Unknown,
            },
        }
    }

    /// At least one holds.
    pub fn any(items: impl IntoIterator<Item = Self>) -> Self {
        let mut found = Self::False;
        for item in items {
            match item {
                Self::True => return Self::True,
                Self::Unknown => found = Self::Unknown,
                Self::False => {}
            }
        }
        found
    }
}

impl Not for Truth {
    type Output = Self;

    fn not(self) -> Self {
        match self {
            Self::True => Self::False,
            Self::False => Self::True,
            Self::Unknown => Self::Unknown,
        }
    }
}

impl From<bool> for Truth {
    fn from(holds: bool) -> Self {
        if holds { Self::True } else { Self::False }
    }
}

/// A list that a configuration must not leave empty: an empty list reads as "none" to some and as "any" to others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NonEmpty<T>(Vec<T>);

impl<T> NonEmpty<T> {
    /// The items as a slice.
    #[must_use]
    pub fn as_slice(&self) -> &[T] {
        &self.0
    }

    /// The items, at least one.
    pub fn iter(&self) -> std::slice::Iter<'_, T> {
        self.0.iter()
    }

    /// Each item made into others, at least one of them each; an item that is made into none is lost.
    pub fn flat_map<U>(self, make: impl Fn(T) -> Vec<U>) -> NonEmpty<U> {
        NonEmpty(self.0.into_iter().flat_map(make).collect())
    }

    /// The items as a vector.
    #[must_use]
    pub fn into_vec(self) -> Vec<T> {
        self.0
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for NonEmpty<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let items = Vec::deserialize(deserializer)?;
        if items.is_empty() {
            return Err(D::Error::invalid_length(0, &"at least one item"));
        }
        Ok(Self(items))
    }
}

#[cfg(test)]
mod tests {
    use super::Truth::{False, True, Unknown};
    use super::*;

    #[test]
    fn unknown_stays_unknown_unless_the_rest_decides() {
        assert_eq!(Unknown.and(|| False), False);
        assert_eq!(Unknown.and(|| True), Unknown);
        assert_eq!(Truth::any([Unknown, True]), True);
        assert_eq!(Truth::any([Unknown, False]), Unknown);
        assert_eq!(Truth::any([]), False);
        assert_eq!(!Unknown, Unknown);
    }

    #[test]
    fn an_empty_list_is_refused() {
        assert!(serde_json::from_str::<NonEmpty<u8>>("[]").is_err());
        assert_eq!(serde_json::from_str::<NonEmpty<u8>>("[1]").unwrap().into_vec(), [1]);
    }
}
