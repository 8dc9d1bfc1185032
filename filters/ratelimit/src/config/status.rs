//! Statuses of responses, one or a class.

use serde::de::{Error as _, Unexpected};
use serde::{Deserialize, Deserializer};

/// `401`, or `5xx` for all of a class.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct StatusPattern {
    first: u16,
    last: u16,
}

impl StatusPattern {
    fn parse(text: &str) -> Option<Self> {
        let (class, rest) = text.split_at_checked(1)?;
        let class: u16 = class.parse().ok().filter(|class| (1..=5).contains(class))?;
        let first = class.saturating_mul(100);
        if rest == "xx" {
            return Some(Self { first, last: first.saturating_add(99) });
        }
        let two = rest.len() == 2 && rest.bytes().all(|digit| digit.is_ascii_digit());
        let status = text.parse().ok().filter(|_| two)?;
        Some(Self { first: status, last: status })
    }

    /// Whether `status` is meant.
    pub(crate) fn matches(&self, status: u16) -> bool {
        (self.first..=self.last).contains(&status)
    }
}

impl<'de> Deserialize<'de> for StatusPattern {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| {
            D::Error::invalid_value(Unexpected::Str(&text), &"a status like \"401\" or \"5xx\"")
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_or_a_class() {
        let pattern = StatusPattern::parse("5xx").unwrap();
        assert!(pattern.matches(500) && pattern.matches(599) && !pattern.matches(499));
        let pattern = StatusPattern::parse("401").unwrap();
        assert!(pattern.matches(401) && !pattern.matches(400));
        for bad in ["", "4", "40", "4011", "6xx", "0xx", "4XX", "xx", "+01", "4x1"] {
            assert_eq!(StatusPattern::parse(bad), None, "{bad}");
        }
    }
}
