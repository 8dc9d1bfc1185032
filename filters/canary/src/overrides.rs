//! Who may choose a version, and how: by a signed token, by being somebody who may, or, where that is opened, by the words
//! of ingress-nginx.

use std::borrow::Cow;

use filter_core::matching::Regex;
use filter_core::{Copies, HeaderName};

use crate::carrier::Carrier;
use crate::config::{Mode, Rollout};
use crate::cookie::Cookie;
use crate::preview::Preview;
use crate::request::Request;
use crate::selector::Selector;

/// One way to a version, for those who may take it.
#[derive(Clone, Debug)]
pub(crate) struct Override {
    pub(crate) by: By,
    pub(crate) afterwards: Afterwards,
}

/// What a choice is made by.
#[derive(Clone, Debug)]
pub(crate) enum By {
    /// A preview token, in the first of these places that has one that is good.
    Token {
        carriers: Vec<Carrier>,
        /// The cookie to keep a token in that came by the query.
        remember: Option<Cookie>,
    },
    /// A version's name, by those who are meant.
    Choice { carrier: Carrier, who: Selector },
    /// What ingress-nginx makes of a header and a cookie, by anybody.
    Nginx(Nginx),
}

/// What becomes of what the choice was made by, before the upstream gets the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Afterwards {
    Remove,
    Keep,
}

/// The annotations `canary-by-header`, `-value`, `-pattern` and `canary-by-cookie`.
#[derive(Clone, Debug)]
pub(crate) struct Nginx {
    pub(crate) header: Option<(HeaderName, Wanted)>,
    pub(crate) cookie: Option<String>,
    /// The variant that is nginx's canary.
    pub(crate) variant: usize,
}

/// What a header must say for the canary.
#[derive(Clone, Debug)]
pub(crate) enum Wanted {
    /// `always`, or `never` for stable.
    Word,
    /// This value. Then no word means anything.
    Value(String),
    /// A match of this somewhere in it. Then no word means anything.
    Pattern(Regex),
}

impl Override {
    /// What the request chooses, if it may: a variant, or none for stable.
    pub(crate) fn choice(&self, rollout: &Rollout, request: &Request<'_>) -> Option<Option<usize>> {
        match &self.by {
            By::Token { carriers, remember } => carriers.iter().find_map(|carrier| {
                let token = carrier.value(request.headers())?;
                token_choice(
                    rollout,
                    request,
                    &token,
                    remember.as_ref().filter(|_| by_query(carrier)),
                )
            }),
            By::Choice { carrier, who } => {
                let value = carrier.value(request.headers())?;
                let variant = rollout.version_named(std::str::from_utf8(&value).ok()?)?;
                who.surely_means(request).then_some(variant)
            }
            By::Nginx(nginx) => nginx.choice(request),
        }
    }

    /// Who may, where conditions say so.
    pub(crate) fn selector(&self) -> Option<&Selector> {
        match &self.by {
            By::Choice { who, .. } => Some(who),
            By::Token { .. } | By::Nginx(_) => None,
        }
    }

    /// The places that the choice is read from.
    pub(crate) fn carriers(&self) -> Vec<Cow<'_, Carrier>> {
        match &self.by {
            By::Token { carriers, .. } => carriers.iter().map(Cow::Borrowed).collect(),
            By::Choice { carrier, .. } => vec![Cow::Borrowed(carrier)],
            By::Nginx(nginx) => {
                let header = nginx.header.as_ref().map(|(name, _)| Carrier::Header(name.clone()));
                let cookie = nginx.cookie.clone().map(Carrier::Cookie);
                header.into_iter().chain(cookie).map(Cow::Owned).collect()
            }
        }
    }
}

fn by_query(carrier: &Carrier) -> bool {
    matches!(carrier, Carrier::Query(_))
}

/// What a token lets the request have.
fn token_choice(
    rollout: &Rollout,
    request: &Request<'_>,
    token: &[u8],
    remember: Option<&Cookie>,
) -> Option<Option<usize>> {
    let preview = Preview::verify(token, request.plan.keys.as_ref()?)?;
    let now = request.wall();
    // Whose key it is, is asked for only where a token is somebody's own.
    let user = preview.subject.is_some().then(|| rollout.user(request)).flatten();
    if !preview.is_for(rollout.name.as_str(), now, user.as_deref()) {
        return None;
    }
    let variant = rollout.version_named(&preview.version)?;
    if let (Some(cookie), Mode::Enforce) = (remember, rollout.mode) {
        let left = preview.expires.saturating_sub(now);
        request.give(cookie.line(std::str::from_utf8(token).ok()?, left));
    }
    Some(variant)
}

impl Nginx {
    /// What `route_to_alternative_balancer` of ingress-nginx decides: the header first, then the cookie; what says neither
    /// leaves it to the weights. A header or cookie that is repeated says nothing.
    fn choice(&self, request: &Request<'_>) -> Option<Option<usize>> {
        let word = |value: &[u8]| match value {
            b"always" => Some(Some(self.variant)),
            b"never" => Some(None),
            _ => None,
        };
        let by_header = self.header.as_ref().and_then(|(name, wanted)| {
            let Copies::One(value) = request.headers().only(name.as_str()) else { return None };
            let canary = |holds: bool| holds.then_some(Some(self.variant));
            match wanted {
                Wanted::Word => word(value),
                Wanted::Value(wanted) => canary(value == wanted.as_bytes()),
                Wanted::Pattern(pattern) => canary(pattern.matches(value)),
            }
        });
        by_header.or_else(|| match request.headers().cookie(self.cookie.as_ref()?) {
            Copies::One(value) => word(value),
            Copies::None | Copies::Many => None,
        })
    }
}
