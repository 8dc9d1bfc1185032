//! Overrides, exclusions and segments.

use filter_core::config::Object;
use filter_core::headers::OwnedHeader;
use filter_core::matching::{NonEmpty, Operation, RawCondition, Regex};
use filter_core::{Invalid, Rule};
use serde::Deserialize;

use super::cookie::{self, RawNameless};
use super::rollout::{Shared, each};
use super::version_named;
use crate::carrier::Carrier;
use crate::overrides::{Afterwards, By, Nginx, Override, Wanted};
use crate::selector::Selector;

/// What versions a rollout has.
#[derive(Clone, Copy)]
pub(super) struct Versions<'a> {
    pub(super) stable: Option<&'a Rule>,
    pub(super) variants: &'a [Rule],
}

impl Versions<'_> {
    fn named(self, pointer: &str, name: &Rule) -> Result<Option<usize>, Invalid> {
        let found = version_named(name.as_str(), self.stable, self.variants);
        found.ok_or_else(|| {
            let expected = "the name of a variant or of the stable version";
            Invalid::at(pointer, expected, format!("`{name}`"))
        })
    }

    fn exist(self) -> Result<(), Invalid> {
        if self.variants.is_empty() {
            return Err(Invalid::at("", "a field `variants` in the rollout", "none"));
        }
        Ok(())
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct RawSelector {
    r#match: Option<Operation>,
    when: Option<NonEmpty<Object<RawCondition>>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct RawSegment {
    variant: Rule,
    r#match: Option<Operation>,
    when: Option<NonEmpty<Object<RawCondition>>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct RawOverride {
    token: Option<Object<RawPlaces>>,
    remember: Option<Object<RawNameless>>,
    choice: Option<Object<RawPlaces>>,
    nginx: Option<Object<RawNginx>>,
    r#match: Option<Operation>,
    when: Option<NonEmpty<Object<RawCondition>>>,
    #[serde(default)]
    keep: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct RawPlaces {
    header: Option<OwnedHeader>,
    cookie: Option<String>,
    query: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct RawNginx {
    canary_by_header: Option<OwnedHeader>,
    canary_by_header_value: Option<String>,
    canary_by_header_pattern: Option<String>,
    canary_by_cookie: Option<String>,
    variant: Option<Rule>,
}

impl RawSelector {
    pub(super) fn compile(self) -> Result<Selector, Invalid> {
        let when = self.when.map(|when| each("/when", when, RawCondition::compile)).transpose()?;
        if self.r#match.is_none() && when.is_none() {
            return Err(Invalid::at("", "`match` or `when`", "neither"));
        }
        Ok(Selector { about: self.r#match, when: when.unwrap_or_default() })
    }
}

impl RawSegment {
    pub(super) fn compile(
        self,
        versions: Versions<'_>,
    ) -> Result<(Selector, Option<usize>), Invalid> {
        versions.exist()?;
        let variant = versions.named("/variant", &self.variant)?;
        let who = RawSelector { r#match: self.r#match, when: self.when }.compile()?;
        Ok((who, variant))
    }
}

impl RawOverride {
    pub(super) fn compile(
        self,
        versions: Versions<'_>,
        shared: &Shared,
    ) -> Result<Override, Invalid> {
        versions.exist()?;
        let afterwards = if self.keep { Afterwards::Keep } else { Afterwards::Remove };
        let about = self.r#match.is_some() || self.when.is_some();
        let by = match (self.token, self.choice, self.nginx) {
            (Some(Object(places)), None, None) => {
                if about {
                    let expected = "`match` and `when` beside `choice` only";
                    return Err(Invalid::at("", expected, "`token`"));
                }
                if !shared.is_signed {
                    let expected = "a field `signingKeys` beside `rollouts`";
                    return Err(Invalid::at("/token", expected, "none"));
                }
                token(places, self.remember)?
            }
            (None, Some(Object(places)), None) if self.remember.is_none() => {
                let mut carriers = places.compile("/choice")?;
                let carrier = carriers.pop().filter(|_| carriers.is_empty()).ok_or_else(|| {
                    let expected = "one of `header`, `cookie` and `query`";
                    Invalid::at("/choice", expected, "several")
                })?;
                // Who asks for something is no reason to give it to everybody who asks.
                if self.when.is_none() {
                    return Err(Invalid::at("", "a field `when` beside `choice`", "none"));
                }
                let who = RawSelector { r#match: self.r#match, when: self.when }.compile()?;
                By::Choice { carrier, who }
            }
            (None, None, Some(Object(nginx))) if self.remember.is_none() && !about => {
                By::Nginx(nginx.compile(versions).map_err(|invalid| invalid.under("/nginx"))?)
            }
            _ => {
                let expected = "one of `token`, perhaps with `remember`, `choice` with `when`, \
                                and `nginx`";
                return Err(Invalid::at("", expected, "others"));
            }
        };
        Ok(Override { by, afterwards })
    }
}

fn token(places: RawPlaces, remember: Option<Object<RawNameless>>) -> Result<By, Invalid> {
    let cookie = places.cookie.clone().filter(|_| places.query.is_some());
    let remember = match (remember, cookie) {
        (None, _) => None,
        (Some(Object(raw)), Some(name)) => {
            let cookie = raw.named(name).compile();
            Some(cookie.map_err(|invalid| invalid.under("/remember"))?)
        }
        (Some(_), None) => {
            let expected = "`cookie` and `query` in `token` beside it";
            return Err(Invalid::at("/remember", expected, "not both"));
        }
    };
    Ok(By::Token { carriers: places.compile("/token")?, remember })
}

impl RawPlaces {
    /// The places, in the order in which they are looked into: what is meant for this request before what is kept.
    fn compile(self, pointer: &str) -> Result<Vec<Carrier>, Invalid> {
        let mut carriers = Vec::new();
        carriers.extend(self.header.map(|header| Carrier::Header(header.0)));
        if let Some(name) = self.query {
            if name.is_empty() {
                let found = "an empty string";
                return Err(Invalid::at(format!("{pointer}/query"), "a parameter's name", found));
            }
            carriers.push(Carrier::Query(name));
        }
        if let Some(name) = self.cookie {
            carriers.push(Carrier::Cookie(cookie::name(&format!("{pointer}/cookie"), name)?));
        }
        if carriers.is_empty() {
            return Err(Invalid::at(pointer, "`header`, `cookie` or `query`", "none"));
        }
        Ok(carriers)
    }
}

impl RawNginx {
    fn compile(self, versions: Versions<'_>) -> Result<Nginx, Invalid> {
        let header = match (
            self.canary_by_header,
            self.canary_by_header_value,
            self.canary_by_header_pattern,
        ) {
            (None, None, None) => None,
            (Some(header), None, None) => Some((header.0, Wanted::Word)),
            (Some(header), Some(value), None) => Some((header.0, Wanted::Value(value))),
            (Some(header), None, Some(text)) => {
                Some((header.0, Wanted::Pattern(somewhere(&text)?)))
            }
            (Some(_), Some(_), Some(_)) => {
                let expected = "one of `canaryByHeaderValue` and `canaryByHeaderPattern`";
                return Err(Invalid::at("", expected, "both"));
            }
            (None, ..) => return Err(Invalid::at("", "a field `canaryByHeader`", "none")),
        };
        let cookie = self.canary_by_cookie;
        let cookie = cookie.map(|name| cookie::name("/canaryByCookie", name)).transpose()?;
        if header.is_none() && cookie.is_none() {
            return Err(Invalid::at("", "`canaryByHeader` or `canaryByCookie`", "neither"));
        }
        let variant = match (&self.variant, versions.variants) {
            (Some(name), _) => versions.named("/variant", name)?,
            (None, [_]) => Some(0),
            (None, _) => None,
        };
        let variant = variant.ok_or_else(|| {
            Invalid::at("/variant", "the name of the variant that is the canary", "none")
        })?;
        Ok(Nginx { header, cookie, variant })
    }
}

/// An expression that may match anywhere in a value, as nginx's do.
fn somewhere(text: &str) -> Result<Regex, Invalid> {
    let anywhere =
        Regex::parse(text).and_then(|_| Regex::parse(&format!("(?s:.*)(?:{text})(?s:.*)")));
    anywhere.ok_or_else(|| {
        let expected = "a regular expression (RE2) of moderate size";
        Invalid::at("/canaryByHeaderPattern", expected, format!("string {text:?}"))
    })
}
