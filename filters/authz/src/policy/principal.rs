//! Istio's `request.auth.principal`, `ISSUER/SUBJECT` of the token.

use filter_core::matching::{StringPattern, Truth};

use super::Reading;
use crate::token::{Identity, Principal};

/// A pattern over the token's principal.
#[derive(Clone, Debug)]
pub(crate) enum PrincipalPattern {
    /// Over the whole.
    Whole(StringPattern),
    /// Over `iss` and `sub`, as Istio takes it apart.
    Parts(StringPattern, Subject),
}

/// What Istio asks of `sub`.
#[derive(Clone, Debug)]
pub(crate) enum Subject {
    /// That it matches.
    Pattern(StringPattern),
    /// That it is there and empty.
    Empty,
}

impl PrincipalPattern {
    /// The pattern that `text` writes.
    pub(crate) fn parse(text: &str, reading: Reading) -> Option<Self> {
        match reading {
            Reading::Strict => StringPattern::parse(text).map(Self::Whole),
            Reading::Istio => Self::in_parts(text),
        }
    }

    /// Istio's `requestPrincipalGenerator`: the text is taken apart at its last slash, as an issuer may be a URL.
    fn in_parts(text: &str) -> Option<Self> {
        let exact = |text: &str| StringPattern::Exact(text.into());
        let (issuer, subject) = match text.rsplit_once('/') {
            Some((issuer, subject)) => (issuer, Some(subject)),
            None => (text, None),
        };
        let (issuer, subject) = match (text.strip_prefix('*'), text.strip_suffix('*'), subject) {
            _ if text.is_empty() => return None,
            _ if text == "*" => (StringPattern::Present, Some(StringPattern::Present)),
            (Some(rest), _, None) => {
                (StringPattern::Present, Some(StringPattern::Suffix(rest.into())))
            }
            (Some(_), _, Some(subject)) => {
                let issuer = match issuer.strip_prefix('*').unwrap_or_default() {
                    "" => StringPattern::Present,
                    suffix => StringPattern::Suffix(suffix.into()),
                };
                (issuer, (!subject.is_empty()).then(|| exact(subject)))
            }
            (None, Some(rest), None) => {
                (StringPattern::Prefix(rest.into()), Some(StringPattern::Present))
            }
            (None, Some(_), Some(subject)) => {
                let subject = match subject.strip_suffix('*').unwrap_or_default() {
                    "" => StringPattern::Present,
                    prefix => StringPattern::Prefix(prefix.into()),
                };
                (exact(issuer), Some(subject))
            }
            (None, None, subject) => {
                (exact(issuer), subject.filter(|text| !text.is_empty()).map(exact))
            }
        };
        Some(Self::Parts(issuer, subject.map_or(Subject::Empty, Subject::Pattern)))
    }

    /// Whether the identity is the one meant.
    pub(crate) fn matches(&self, identity: &Identity<'_>) -> Truth {
        match (self, identity.principal()) {
            (Self::Parts(issuer, subject), _) => {
                let claims = identity.says().claims;
                let named = claims.issuer().is_some_and(|text| issuer.matches(text.as_bytes()));
                let found = claims.subject().is_some_and(|text| match subject {
                    Subject::Pattern(pattern) => pattern.matches(text.as_bytes()),
                    Subject::Empty => text.is_empty(),
                });
                (named && found).into()
            }
            (Self::Whole(pattern), Principal::Named(name)) => {
                pattern.matches(name.as_bytes()).into()
            }
            (Self::Whole(_), Principal::None) => Truth::False,
            (Self::Whole(_), Principal::Ambiguous) => Truth::Unknown,
        }
    }
}
