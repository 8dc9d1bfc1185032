//! One rollout.

use filter_core::config::{Object, Whole};
use filter_core::headers::OwnedHeader;
use filter_core::matching::{NonEmpty, Operation};
use filter_core::{Invalid, Rule};
use serde::Deserialize;

use super::cookie::RawCookie;
use super::overrides::{RawOverride, RawSegment, RawSelector, Versions};
use super::parts::RawPart;
use super::variants::{self, RawVariant};
use super::watch::{self, RawGuard, RawWay};
use super::{BucketHeader, Mode, Namespace, Rollout, Switch};
use crate::bucket::{Murmur, PartsPerMillion};
use crate::hash::Hash;
use crate::key::{MissingKey, Part};
use crate::shares::Arrangement;
use crate::sticky::Sticky;

/// What weights of routes add up to unless somebody says otherwise.
const PERCENT: u64 = 100;
/// What a filter state may not be called, as others are.
const TAKEN_STATES: [&str; 2] = ["variant", "route"];

/// What the document says once for all rollouts, as far as a rollout needs it.
pub(super) struct Shared {
    pub(super) is_signed: bool,
    pub(super) is_anonymous: bool,
    /// Whether the document has a part in every decision: by peers, a holdout or baggage.
    pub(super) has_a_part: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct RawRollout {
    name: Rule,
    r#match: Option<Operation>,
    #[serde(default)]
    mode: Mode,
    #[serde(default)]
    kill_switch: bool,
    header: Option<OwnedHeader>,
    bucket_header: Option<Object<RawBucketHeader>>,
    filter_state: Option<String>,
    overrides: Option<NonEmpty<Object<RawOverride>>>,
    exclude: Option<NonEmpty<Object<RawSelector>>>,
    segments: Option<NonEmpty<Object<RawSegment>>>,
    sticky_cookie: Option<Object<RawCookie>>,
    bucket_version: Option<Whole>,
    min_bucket_version: Option<Whole>,
    key: NonEmpty<Object<RawPart>>,
    #[serde(default)]
    missing_key: MissingKey,
    #[serde(default)]
    hash: Hash,
    salt: Option<String>,
    coverage: Option<PartsPerMillion>,
    namespace: Option<Object<RawNamespace>>,
    stable: Option<Rule>,
    variants: Option<NonEmpty<Object<RawVariant>>>,
    guard: Option<Object<RawGuard>>,
    routes: Option<NonEmpty<Object<RawWay>>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawBucketHeader {
    name: OwnedHeader,
    buckets: Option<Whole>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawNamespace {
    name: String,
    from: PartsPerMillion,
    to: PartsPerMillion,
}

impl RawRollout {
    /// The names that no other rollout may have: of what, which, and where.
    pub(super) fn names(&self) -> impl Iterator<Item = (&'static str, &str, &'static str)> {
        let header = self.header.iter();
        let header = header.map(|header| ("header", header.0.as_str(), "/header"));
        let bucket = self.bucket_header.iter();
        let bucket =
            bucket.map(|Object(bucket)| ("header", bucket.name.0.as_str(), "/bucketHeader/name"));
        let state = self.filter_state.iter();
        let state = state.map(|state| ("filterState", state.as_str(), "/filterState"));
        let cookie = self.sticky_cookie.iter();
        let cookie = cookie.map(|Object(cookie)| ("cookie", cookie.name(), "/stickyCookie/name"));
        let name = std::iter::once(("name", self.name.as_str(), "/name"));
        name.chain(header).chain(bucket).chain(state).chain(cookie)
    }

    pub(super) fn compile(self, shared: &Shared) -> Result<Rollout, Invalid> {
        let key = each("/key", self.key, |part| part.compile())?;
        if !shared.is_anonymous
            && let Some(index) = key.iter().position(|part| *part == Part::AnonymousCookie)
        {
            let expected = "a field `anonymousCookie` beside `rollouts`";
            return Err(Invalid::at(format!("/key/{index}/anonymousCookie"), expected, "none"));
        }
        let bucket_header = self.bucket_header.map(|Object(raw)| raw.compile()).transpose()?;
        let filter_state = self.filter_state.as_deref().map(filter_state).transpose()?;
        // Who has weights elsewhere needs none here; without, what tells the route and variants belong together.
        let told = self.header.is_some() || filter_state.is_some();
        match (told, &self.variants, &bucket_header) {
            (false, None, Some(_)) | (true, Some(_), _) => {}
            (false, ..) => return Err(Invalid::at("", "a field `header`", "none")),
            (true, None, _) => return Err(Invalid::at("", "a field `variants`", "none")),
        }
        let arrangement = match (self.hash, self.coverage) {
            (Hash::Native, None) => Arrangement::Places,
            (Hash::Native, Some(_)) => {
                let expected = "a `hash` of an experiment platform beside `coverage`";
                return Err(Invalid::at("/coverage", expected, "`native`"));
            }
            (_, coverage) => {
                Arrangement::InOrder { coverage: coverage.unwrap_or(PartsPerMillion::ALL) }
            }
        };
        let given = self.variants.map(NonEmpty::into_vec).unwrap_or_default();
        let given = given.into_iter().map(|Object(variant)| variant).collect();
        let (variants, shares) = variants::compile(given, self.stable.as_ref(), arrangement)
            .map_err(|invalid| invalid.under("/variants"))?;
        let versions = Versions { stable: self.stable.as_ref(), variants: &variants };
        let overrides = match self.overrides {
            Some(list) => each("/overrides", list, |raw| raw.compile(versions, shared))?,
            None => Vec::new(),
        };
        let exclude = match self.exclude {
            Some(list) => each("/exclude", list, RawSelector::compile)?,
            None => Vec::new(),
        };
        let segments = match self.segments {
            Some(list) => each("/segments", list, |raw| raw.compile(versions))?,
            None => Vec::new(),
        };
        if self.sticky_cookie.is_some() && !shared.is_signed {
            let expected = "a field `signingKeys` beside `rollouts`";
            return Err(Invalid::at("/stickyCookie", expected, "none"));
        }
        if self.sticky_cookie.is_some() && variants.is_empty() {
            return Err(Invalid::at("/stickyCookie", "a field `variants` beside it", "none"));
        }
        let sticky = self.sticky_cookie.map(|Object(raw)| raw.compile()).transpose();
        let sticky = sticky.map_err(|invalid| invalid.under("/stickyCookie"))?;
        let version = |version: Option<Whole>| version.map_or(0, |version| version.0);
        let (bucket_version, min_bucket_version) =
            (version(self.bucket_version), version(self.min_bucket_version));
        if min_bucket_version > bucket_version {
            let expected = "at most `bucketVersion`";
            let found = min_bucket_version.to_string();
            return Err(Invalid::at("/minBucketVersion", expected, found));
        }
        let guard = self.guard.map(|Object(guard)| guard);
        let routes = self.routes.map(NonEmpty::into_vec);
        let routes = routes.map(|routes| routes.into_iter().map(|Object(way)| way).collect());
        let watched = watch::compile(guard, routes, self.stable.as_ref(), &variants)?;
        let namespace = self.namespace.map(|Object(raw)| raw.compile()).transpose()?;
        let is_decided = self.kill_switch
            || shared.has_a_part
            || sticky.is_some()
            || namespace.is_some()
            || !(overrides.is_empty() && exclude.is_empty() && segments.is_empty());
        let is_told = bucket_header.is_some() || filter_state.is_some() || watched.is_some();
        let salt = self.salt.unwrap_or_else(|| self.name.to_string());
        Ok(Rollout {
            salted: Murmur::salted(&salt),
            salt,
            is_plain: !is_decided && !is_told,
            name: self.name,
            about: self.r#match,
            mode: self.mode,
            header: self.header.map(|header| header.0),
            bucket_header,
            filter_state,
            switch: if self.kill_switch { Switch::Killed } else { Switch::On },
            overrides,
            exclude,
            segments,
            sticky: sticky.map(|cookie| Sticky { cookie }),
            bucket_version,
            min_bucket_version,
            key,
            missing: self.missing_key,
            hash: self.hash,
            namespace,
            stable: self.stable,
            variants,
            shares,
            watched,
        })
    }
}

/// Each item of a list compiled, with faults where they are.
pub(super) fn each<R, T>(
    pointer: &str,
    list: NonEmpty<Object<R>>,
    compile: impl Fn(R) -> Result<T, Invalid>,
) -> Result<Vec<T>, Invalid> {
    let one = |(index, Object(raw)): (usize, Object<R>)| {
        compile(raw).map_err(|invalid| invalid.under(&format!("{pointer}/{index}")))
    };
    list.into_vec().into_iter().enumerate().map(one).collect()
}

/// The name of a filter state, as it is published. It lives as long as the module; a configuration has few.
fn filter_state(name: &str) -> Result<&'static str, Invalid> {
    let word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    if (1..=64).contains(&name.len()) && name.bytes().all(word) && !TAKEN_STATES.contains(&name) {
        return Ok(Box::leak(format!("canary_{name}").into_boxed_str()));
    }
    let expected = "1 to 64 letters, digits and `_`, other than `variant` and `route`";
    Err(Invalid::at("/filterState", expected, format!("{name:?}")))
}

impl RawBucketHeader {
    fn compile(self) -> Result<BucketHeader, Invalid> {
        let buckets = self.buckets.map_or(PERCENT, |buckets| buckets.0);
        let in_range = (2..=u64::from(PartsPerMillion::ALL.parts())).contains(&buckets);
        let buckets = u32::try_from(buckets).ok().filter(|_| in_range).ok_or_else(|| {
            let expected = "a whole number from 2 to 1000000";
            Invalid::at("/bucketHeader/buckets", expected, buckets.to_string())
        })?;
        Ok(BucketHeader { name: self.name.0, buckets })
    }
}

impl RawNamespace {
    fn compile(self) -> Result<Namespace, Invalid> {
        if self.to <= self.from {
            return Err(Invalid::at("/namespace/to", "a percentage above `from`", "none"));
        }
        Ok(Namespace { name: self.name, from: self.from, to: self.to })
    }
}

#[cfg(test)]
mod tests {
    use crate::config;

    fn is_plain(fields: &str, document: &str) -> bool {
        let document = format!(
            r#"{{"rollouts":[{{"name":"checkout","header":"x-canary","key":[{{"anonymousCookie":{{}}}}],"variants":[{{"name":"v2","weight":5}}]{fields}}}],"anonymousCookie":{{"name":"id"}}{document}}}"#
        );
        config::parse(document.as_bytes()).unwrap().rollouts.iter().all(|rollout| rollout.is_plain)
    }

    #[test]
    fn plain_is_what_only_weights_decide_and_only_a_header_tells() {
        let keys = r#","signingKeys":[{"id":"a","secret":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="}]"#;
        for (fields, document) in [
            ("", ""),
            ("", keys),
            (r#","mode":"shadow","match":{"paths":["/a"]}"#, ""),
            (r#","missingKey":"random","salt":"a","hash":"flagd","coverage":50"#, ""),
        ] {
            assert!(is_plain(fields, document), "{fields}{document}");
        }
        for (fields, document) in [
            (r#","killSwitch":true"#, ""),
            (r#","overrides":[{"nginx":{"canaryByCookie":"canary"}}]"#, ""),
            (r#","exclude":[{"match":{"paths":["/a"]}}]"#, ""),
            (r#","segments":[{"variant":"v2","match":{"paths":["/a"]}}]"#, ""),
            (r#","stickyCookie":{"name":"had"}"#, keys),
            (r#","namespace":{"name":"a","from":0,"to":50}"#, ""),
            (r#","bucketHeader":{"name":"x-bucket"}"#, ""),
            (r#","filterState":"checkout""#, ""),
            (r#","guard":{"errors":{"max":5}}"#, ""),
            (
                r#","routes":[{"version":"stable","cluster":"v1"},{"version":"v2","cluster":"v2"}]"#,
                "",
            ),
            ("", r#","holdout":{"weight":5}"#),
            ("", r#","baggage":{}"#),
            ("", r#","role":"mesh","peers":{"application":true}"#),
        ] {
            assert!(!is_plain(fields, document), "{fields}{document}");
        }
    }
}
