//! Where a request carries what a tester wants: a header, a query parameter, a cookie.

use std::borrow::Cow;

use filter_core::{Copies, HeaderName, Headers, query};

/// One place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Carrier {
    Header(HeaderName),
    Query(String),
    Cookie(String),
}

impl Carrier {
    /// What stands there, if it is one thing and something.
    pub(crate) fn value<'a>(&'a self, headers: Headers<'a>) -> Option<Cow<'a, [u8]>> {
        let one = |copies| match copies {
            Copies::One(value) => Some(Cow::Borrowed(value)),
            Copies::None | Copies::Many => None,
        };
        let value = match self {
            Self::Header(name) => one(headers.only(name.as_str())),
            Self::Query(name) => query::param(headers.path(), name).ok().flatten(),
            Self::Cookie(name) => one(headers.cookie(name)),
        };
        value.filter(|value| !value.is_empty())
    }
}
