//! From the document to rollouts, or a refusal.

mod variants;
mod watch;

use std::collections::HashMap;

use filter_core::config::{self, Object, Whole};
use filter_core::headers::OwnedHeader;
use filter_core::matching::{NonEmpty, Operation};
use filter_core::{HeaderName, Invalid, Rule};
use serde::Deserialize;

use crate::bucket::PartsPerMillion;
use crate::hash::Hash;
use crate::key::Part;
use crate::shares::{Arrangement, Shares};
use variants::RawVariant;
pub(crate) use watch::Watched;
use watch::{RawGuard, RawWay};

/// What the stable version is called where no value is set for it.
const STABLE: &str = "stable";
/// What weights of routes add up to unless somebody says otherwise.
const PERCENT: u64 = 100;

/// One decision between versions.
#[derive(Clone, Debug)]
pub(crate) struct Rollout {
    pub(crate) name: Rule,
    /// The requests it is about; all if none are said.
    pub(crate) about: Option<Operation>,
    pub(crate) mode: Mode,
    /// The header that tells the route which version it is.
    pub(crate) header: Option<HeaderName>,
    pub(crate) bucket_header: Option<BucketHeader>,
    pub(crate) key: Vec<Part>,
    pub(crate) hash: Hash,
    pub(crate) salt: String,
    pub(crate) namespace: Option<Namespace>,
    pub(crate) stable: Option<Rule>,
    pub(crate) variants: Vec<Rule>,
    pub(crate) shares: Shares,
    pub(crate) watched: Option<Watched>,
}

/// Whether a decision has an effect.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum Mode {
    /// It is what happens.
    #[default]
    Enforce,
    /// It is counted and published, and headers stay as they came.
    Shadow,
}

/// A header that tells the route where the user lies, for weights that somebody else keeps.
#[derive(Clone, Debug)]
pub(crate) struct BucketHeader {
    pub(crate) name: HeaderName,
    /// How many places there are, from zero on: the sum of the route's weights.
    pub(crate) buckets: u32,
}

/// What experiments that exclude each other share: each has the users between two places.
#[derive(Clone, Debug)]
pub(crate) struct Namespace {
    pub(crate) name: String,
    pub(crate) from: PartsPerMillion,
    pub(crate) to: PartsPerMillion,
}

/// Users who get stable of everything, so that there is somebody to compare with.
#[derive(Clone, Debug)]
pub(crate) struct Holdout {
    pub(crate) salt: String,
    pub(crate) weight: PartsPerMillion,
}

/// Everything that a document says.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) rollouts: Vec<Rollout>,
    pub(crate) holdout: Option<Holdout>,
}

impl Rollout {
    /// What a variant, or the stable version, is called.
    pub(crate) fn version(&self, variant: Option<usize>) -> &str {
        let name = match variant {
            Some(variant) => self.variants.get(variant),
            None => self.stable.as_ref(),
        };
        name.map_or(STABLE, Rule::as_str)
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "an object with `rollouts`")]
struct Raw {
    rollouts: NonEmpty<Object<RawRollout>>,
    holdout: Option<Object<RawHoldout>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawHoldout {
    salt: Option<String>,
    weight: PartsPerMillion,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct RawRollout {
    name: Rule,
    r#match: Option<Operation>,
    #[serde(default)]
    mode: Mode,
    header: Option<OwnedHeader>,
    bucket_header: Option<Object<RawBucketHeader>>,
    key: NonEmpty<Object<RawPart>>,
    #[serde(default)]
    hash: Hash,
    salt: Option<String>,
    coverage: Option<PartsPerMillion>,
    namespace: Option<Object<RawNamespace>>,
    stable: Option<Rule>,
    variants: Option<NonEmpty<Object<RawVariant>>>,
    guard: Option<Object<RawGuard>>,
    routes: Option<NonEmpty<Object<RawWay>>>,
    #[expect(dead_code, reason = "one policy so far, which may be written out")]
    missing_key: Option<MissingKey>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct RawPart {
    header: Option<HeaderName>,
    /// A cookie's name is a token, as a header's is (RFC 6265 §4.1.1), but with its case.
    cookie: Option<String>,
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

/// What a request without a key gets.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
enum MissingKey {
    Stable,
}

/// What a document writes.
pub(crate) fn parse(document: &[u8]) -> Result<Plan, Invalid> {
    let raw: Raw = config::parse(document)?;
    let holdout = raw
        .holdout
        .map(|Object(raw)| Holdout { salt: raw.salt.unwrap_or_default(), weight: raw.weight });
    let (mut names, mut headers) = (HashMap::new(), HashMap::new());
    let mut rollouts = Vec::new();
    for (index, Object(rollout)) in raw.rollouts.into_vec().into_iter().enumerate() {
        let own = format!("/rollouts/{index}");
        let refused = |field: &str, first: &str| {
            let (expected, found) =
                (format!("a {field} of its own"), format!("the {field} of {first}"));
            Invalid::at(format!("{own}/{field}"), expected, found)
        };
        if let Some(first) = names.insert(rollout.name.to_string(), own.clone()) {
            return Err(refused("name", &first));
        }
        for (field, header) in rollout.headers() {
            if let Some(first) = headers.insert(header.to_string(), own.clone()) {
                return Err(refused(field, &first));
            }
        }
        rollouts.push(rollout.compile().map_err(|invalid| invalid.under(&own))?);
    }
    Ok(Plan { rollouts, holdout })
}

impl RawRollout {
    /// The headers that the rollout sets, by their fields.
    fn headers(&self) -> impl Iterator<Item = (&'static str, &HeaderName)> {
        let version = self.header.as_ref().map(|header| ("header", &header.0));
        let bucket = self.bucket_header.as_ref().map(|bucket| ("bucketHeader", &bucket.0.name.0));
        version.into_iter().chain(bucket)
    }

    fn compile(self) -> Result<Rollout, Invalid> {
        let part = |(index, Object(part)): (usize, Object<RawPart>)| {
            part.compile().map_err(|invalid| invalid.under(&format!("/key/{index}")))
        };
        let key =
            self.key.into_vec().into_iter().enumerate().map(part).collect::<Result<_, _>>()?;
        let bucket_header = self.bucket_header.map(|Object(raw)| raw.compile()).transpose()?;
        // Who has weights elsewhere needs none here; without, a header and variants belong together.
        match (&self.header, &self.variants, &bucket_header) {
            (None, None, Some(_)) | (Some(_), Some(_), _) => {}
            (None, None, None) => return Err(Invalid::at("", "a field `header`", "none")),
            (None, Some(_), _) => return Err(Invalid::at("", "a field `header`", "none")),
            (Some(_), None, _) => return Err(Invalid::at("", "a field `variants`", "none")),
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
        let guard = self.guard.map(|Object(guard)| guard);
        let routes = self.routes.map(NonEmpty::into_vec);
        let routes = routes.map(|routes| routes.into_iter().map(|Object(way)| way).collect());
        let watched = watch::compile(guard, routes, self.stable.as_ref(), &variants)?;
        Ok(Rollout {
            salt: self.salt.unwrap_or_else(|| self.name.to_string()),
            name: self.name,
            about: self.r#match,
            mode: self.mode,
            header: self.header.map(|header| header.0),
            bucket_header,
            key,
            hash: self.hash,
            namespace: self.namespace.map(|Object(raw)| raw.compile()).transpose()?,
            stable: self.stable,
            variants,
            shares,
            watched,
        })
    }
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

impl RawPart {
    fn compile(self) -> Result<Part, Invalid> {
        match (self.header, self.cookie) {
            (Some(header), None) => Ok(Part::Header(header)),
            (None, Some(cookie)) if HeaderName::parse(&cookie).is_some() => {
                Ok(Part::Cookie(cookie))
            }
            (None, Some(cookie)) => {
                Err(Invalid::at("/cookie", "a cookie's name", format!("{cookie:?}")))
            }
            (Some(_), Some(_)) => Err(Invalid::at("", "either `header` or `cookie`", "both")),
            (None, None) => Err(Invalid::at("", "either `header` or `cookie`", "neither")),
        }
    }
}
