//! How a rollout is watched: the limits of its guard, and the routes that lead to its versions.

use std::ops::RangeInclusive;
use std::time::Duration;

use filter_core::config::{Object, Span, Whole};
use filter_core::matching::{NonEmpty, StringPattern};
use filter_core::{Invalid, Rule};
use serde::de::{Error as _, Unexpected};
use serde::{Deserialize, Deserializer};

use super::STABLE;
use crate::bucket::PartsPerMillion;
use crate::guard::board::SLICES;
use crate::guard::ending::Endings;
use crate::guard::judge::{Limit, Terms};
use crate::ways::{Subset, Way};

const INTERVAL: Duration = Duration::from_secs(30);
const MIN_REQUESTS: u64 = 100;
/// One percentage point.
const OVER_STABLE: u32 = 10_000;
const SERVER_ERRORS: RangeInclusive<u16> = 500..=599;
const BASE_EJECTION: Duration = Duration::from_secs(30);
const MAX_EJECTION: Duration = Duration::from_secs(300);
const HALF_OPEN: u32 = 100_000;

/// How a rollout is watched.
#[derive(Clone, Debug)]
pub(crate) struct Watched {
    /// The versions, the first being stable.
    pub(crate) names: Vec<String>,
    pub(crate) guard: Option<Terms>,
    pub(crate) overrides: Overrides,
    /// The ways to the versions, in their order.
    pub(crate) ways: Option<Vec<Way>>,
}

/// What the guard does with those who chose a variant that is off.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum Overrides {
    /// It keeps them from it too.
    #[default]
    Stop,
    /// It lets them through.
    Pass,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct RawGuard {
    #[serde(default)]
    overrides: Overrides,
    interval: Option<Span>,
    min_requests: Option<Whole>,
    errors: Option<Object<RawErrors>>,
    latency: Option<Object<RawLatency>>,
    base_ejection_time: Option<Span>,
    max_ejection_time: Option<Span>,
    half_open: Option<Object<RawHalfOpen>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct RawErrors {
    max: PartsPerMillion,
    over_stable: Option<PartsPerMillion>,
    statuses: Option<NonEmpty<Statuses>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct RawLatency {
    limit: Span,
    max: PartsPerMillion,
    over_stable: Option<PartsPerMillion>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct RawHalfOpen {
    weight: Option<PartsPerMillion>,
    min_requests: Option<Whole>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawWay {
    version: Rule,
    cluster: Option<StringPattern>,
    route: Option<StringPattern>,
    subset: Option<Rule>,
    host: Option<String>,
}

/// `429`, or `5xx` for all of a class.
struct Statuses(RangeInclusive<u16>);

impl<'de> Deserialize<'de> for Statuses {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let class = text.strip_suffix("xx").filter(|class| class.len() == 1);
        let status = |digits: &str| digits.parse::<u16>().ok();
        let digits = text.len() == 3 && text.bytes().all(|byte| byte.is_ascii_digit());
        let range = match class {
            Some(class) => status(class).map(|class| {
                let first = class.saturating_mul(100);
                first..=first.saturating_add(99)
            }),
            None => status(&text).filter(|_| digits).map(|status| status..=status),
        };
        // What is less is no final answer.
        range.filter(|range| (200..600).contains(range.start())).map(Self).ok_or_else(|| {
            let expected = "a status from 200 to 599 like \"429\", or \"5xx\"";
            D::Error::invalid_value(Unexpected::Str(&text), &expected)
        })
    }
}

/// How a rollout with these versions is watched, if it is.
///
/// # Errors
/// By pointers under the rollout.
pub(super) fn compile(
    guard: Option<RawGuard>,
    routes: Option<Vec<RawWay>>,
    stable: Option<&Rule>,
    variants: &[Rule],
) -> Result<Option<Watched>, Invalid> {
    if guard.is_none() && routes.is_none() {
        return Ok(None);
    }
    let mut names = vec![stable.map_or(STABLE, Rule::as_str).to_owned()];
    let given = routes.iter().flatten().map(|way| &way.version);
    // Where the route has the weights, it alone knows the variants.
    let others: Vec<&Rule> =
        if variants.is_empty() { given.collect() } else { variants.iter().collect() };
    for name in others {
        if !names.iter().any(|known| known == name.as_str()) {
            names.push(name.to_string());
        }
    }
    if guard.is_some() && names.len() < 2 {
        let expected =
            "`routes` that tell the stable version from others, as there are no variants";
        return Err(Invalid::at("/guard", expected, "none"));
    }
    let ways = routes.map(|routes| ways(routes, &names)).transpose()?;
    let overrides = guard.as_ref().map(|guard| guard.overrides).unwrap_or_default();
    let guard = guard.map(RawGuard::compile).transpose();
    let guard = guard.map_err(|invalid| invalid.under("/guard"))?;
    Ok(Some(Watched { names, guard, overrides, ways }))
}

/// The way to each of the versions.
fn ways(routes: Vec<RawWay>, names: &[String]) -> Result<Vec<Way>, Invalid> {
    let mut ways: Vec<Option<Way>> = vec![None; names.len()];
    for (index, raw) in routes.into_iter().enumerate() {
        let at = format!("/routes/{index}");
        let known = names.iter().position(|name| name == raw.version.as_str());
        let Some(slot) = known.and_then(|place| ways.get_mut(place)) else {
            let found = format!("`{}`", raw.version);
            return Err(Invalid::at(at + "/version", "a version of the rollout", found));
        };
        if slot.is_some() {
            let found = format!("`{}` again", raw.version);
            return Err(Invalid::at(at + "/version", "each version once", found));
        }
        *slot = Some(raw.compile().map_err(|invalid| invalid.under(&at))?);
    }
    let all = names.iter().zip(ways).map(|(name, way)| {
        way.ok_or_else(|| Invalid::at("/routes", format!("a route to `{name}`"), "none"))
    });
    all.collect()
}

impl RawWay {
    fn compile(self) -> Result<Way, Invalid> {
        let subset = match (self.subset, self.host) {
            (Some(name), host) => Some(Subset { name: name.to_string(), host }),
            (None, Some(_)) => return Err(Invalid::at("/host", "a `subset` beside it", "none")),
            (None, None) => None,
        };
        if subset.is_none() && self.cluster.is_none() && self.route.is_none() {
            return Err(Invalid::at("", "`cluster`, `route` or `subset`", "none of them"));
        }
        Ok(Way { cluster: self.cluster, route: self.route, subset })
    }
}

impl RawGuard {
    fn compile(self) -> Result<Terms, Invalid> {
        if self.errors.is_none() && self.latency.is_none() {
            return Err(Invalid::at("", "`errors` or `latency`", "neither"));
        }
        let interval = time(self.interval, "/interval", INTERVAL, Duration::from_secs(2))?;
        let min_requests = requests(self.min_requests, "/minRequests", MIN_REQUESTS)?;
        let base_ejection =
            time(self.base_ejection_time, "/baseEjectionTime", BASE_EJECTION, SECOND)?;
        let longest = MAX_EJECTION.max(Duration::from_nanos(base_ejection));
        let max_ejection = time(
            self.max_ejection_time,
            "/maxEjectionTime",
            longest,
            Duration::from_nanos(base_ejection),
        )?;
        let (mut errors, mut latency, mut endings) = (None, None, Endings::default());
        if let Some(Object(raw)) = self.errors {
            errors = Some(limit(raw.max, raw.over_stable));
            let statuses = raw.statuses.map(NonEmpty::into_vec);
            let statuses = statuses.unwrap_or_else(|| vec![Statuses(SERVER_ERRORS)]);
            endings.failures = statuses.into_iter().map(|statuses| statuses.0).collect();
        }
        if let Some(Object(raw)) = self.latency {
            latency = Some(limit(raw.max, raw.over_stable));
            let nanos = time(Some(raw.limit), "/latency/limit", SECOND, Duration::from_millis(1))?;
            endings.slow = Some(i64::try_from(nanos).unwrap_or(i64::MAX));
        }
        let half_open = self.half_open.map(|Object(raw)| raw);
        let (weight, tried) = half_open.map_or((None, None), |raw| (raw.weight, raw.min_requests));
        let half_open = weight.or_else(|| PartsPerMillion::new(HALF_OPEN)).unwrap_or_default();
        if half_open.parts() == 0 {
            let expected = "a percentage above nothing, or the variant never comes back";
            return Err(Invalid::at("/halfOpen/weight", expected, "0"));
        }
        let slices = u64::try_from(SLICES).unwrap_or(1);
        Ok(Terms {
            slice: interval.checked_div(slices).unwrap_or_default().max(1),
            min_requests,
            errors,
            latency,
            endings,
            base_ejection,
            max_ejection,
            half_open,
            half_open_requests: requests(tried, "/halfOpen/minRequests", min_requests.into())?,
        })
    }
}

const SECOND: Duration = Duration::from_secs(1);
const DAY: Duration = Duration::from_secs(86_400);

fn limit(max: PartsPerMillion, over_stable: Option<PartsPerMillion>) -> Limit {
    let usual = PartsPerMillion::new(OVER_STABLE).unwrap_or_default();
    Limit { max, over_stable: over_stable.unwrap_or(usual) }
}

/// A time in nanoseconds, from `least` to a day.
fn time(
    given: Option<Span>,
    pointer: &str,
    usual: Duration,
    least: Duration,
) -> Result<u64, Invalid> {
    let time = given.map_or(usual, |span| span.0);
    if time < least || time > DAY {
        let expected = format!("a time from {least:?} to 24h");
        return Err(Invalid::at(pointer, expected, format!("{time:?}")));
    }
    Ok(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX))
}

fn requests(given: Option<Whole>, pointer: &str, usual: u64) -> Result<u32, Invalid> {
    let number = given.map_or(usual, |number| number.0);
    let found = || Invalid::at(pointer, "a whole number from 1 to 1000000", number.to_string());
    let in_range = (1..=1_000_000).contains(&number);
    u32::try_from(number).ok().filter(|_| in_range).ok_or_else(found)
}
