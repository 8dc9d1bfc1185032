//! The variants of a rollout: their names, and their weights over time.

use std::time::Duration;

use filter_core::config::{Object, Span};
use filter_core::matching::NonEmpty;
use filter_core::{Invalid, Rule};
use serde::de::{Error as _, Unexpected};
use serde::{Deserialize, Deserializer};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::STABLE;
use crate::bucket::PartsPerMillion;
use crate::schedule::{Course, Disorder, Point, Schedule};
use crate::shares::{Arrangement, Shares};

/// The most variants of one rollout.
const MAX_VARIANTS: usize = 100;
/// The most steps of one ramp.
const MAX_STEPS: usize = 100;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct RawVariant {
    name: Rule,
    weight: Option<PartsPerMillion>,
    ramp: Option<Object<RawRamp>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct RawRamp {
    steps: Option<NonEmpty<Object<RawStep>>>,
    from: Option<PartsPerMillion>,
    to: Option<PartsPerMillion>,
    start: Option<Moment>,
    duration: Option<Span>,
    paused_at: Option<Moment>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawStep {
    at: Moment,
    weight: PartsPerMillion,
}

/// A time since the Unix epoch, as RFC 3339 writes it.
#[derive(Clone, Copy)]
struct Moment(Duration);

impl<'de> Deserialize<'de> for Moment {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let moment = OffsetDateTime::parse(&text, &Rfc3339).ok();
        moment
            .and_then(|moment| u64::try_from(moment.unix_timestamp_nanos()).ok())
            .map(|nanos| Self(Duration::from_nanos(nanos)))
            .ok_or_else(|| {
                D::Error::invalid_value(
                    Unexpected::Str(&text),
                    &"a time as in RFC 3339, like \"2026-01-31T08:00:00Z\"",
                )
            })
    }
}

/// The names of the variants, each its own, and their shares.
///
/// # Errors
/// By pointers under the list.
pub(super) fn compile(
    raw: Vec<RawVariant>,
    stable: Option<&Rule>,
    arrangement: Arrangement,
) -> Result<(Vec<Rule>, Shares), Invalid> {
    if raw.len() > MAX_VARIANTS {
        let expected = format!("at most {MAX_VARIANTS} variants");
        return Err(Invalid::at("", expected, raw.len().to_string()));
    }
    // A platform counts the stable version among its variants.
    let own = stable.map_or(STABLE, Rule::as_str);
    let mut names = match arrangement {
        Arrangement::Places => vec![own],
        Arrangement::InOrder { .. } => Vec::new(),
    };
    for (index, variant) in raw.iter().enumerate() {
        let name = variant.name.as_str();
        if names.contains(&name) {
            let expected = "a name that neither another variant nor the stable version has";
            return Err(Invalid::at(format!("/{index}/name"), expected, format!("`{name}`")));
        }
        names.push(name);
    }
    let (mut names, mut schedules) = (Vec::new(), Vec::new());
    for (index, variant) in raw.into_iter().enumerate() {
        names.push(variant.name);
        let schedule = schedule(variant.weight, variant.ramp.map(|Object(ramp)| ramp));
        schedules.push(schedule.map_err(|invalid| invalid.under(&format!("/{index}")))?);
    }
    let ends: u64 = schedules.iter().map(|end| u64::from(end.weight(Duration::MAX).parts())).sum();
    let ramps = schedules.iter().any(Schedule::moves);
    let shares = Shares::new(schedules, arrangement).ok_or_else(|| {
        let when = if ramps { ", when the ramps have ended" } else { "" };
        let found = format!("{} %{when}", decimal(ends));
        Invalid::at("", "weights of at most 100 % together", found)
    })?;
    Ok((names, shares))
}

fn schedule(weight: Option<PartsPerMillion>, ramp: Option<RawRamp>) -> Result<Schedule, Invalid> {
    match (weight, ramp) {
        (Some(weight), None) => Ok(Schedule::fixed(weight)),
        (None, Some(ramp)) => ramp.compile().map_err(|invalid| invalid.under("/ramp")),
        (Some(_), Some(_)) => Err(Invalid::at("", "either `weight` or `ramp`", "both")),
        (None, None) => Err(Invalid::at("", "a field `weight`", "none")),
    }
}

impl RawRamp {
    fn compile(self) -> Result<Schedule, Invalid> {
        let paused_at = self.paused_at.map(|moment| moment.0);
        match (self.steps, self.from, self.to, self.start, self.duration) {
            (Some(steps), None, None, None, None) => stepped(steps.into_vec(), paused_at),
            (None, Some(from), Some(to), Some(start), Some(duration)) => {
                let end = start.0.saturating_add(duration.0);
                let points =
                    vec![Point { at: start.0, weight: from }, Point { at: end, weight: to }];
                Schedule::ramp(points, Course::Linear, paused_at).map_err(|disorder| match disorder
                {
                    Disorder::Weight(_) => {
                        let found = decimal(to.parts().into());
                        Invalid::at("/to", "a weight not below that of `from`", found)
                    }
                    Disorder::Empty | Disorder::Time(_) => {
                        Invalid::at("/duration", "a duration above nothing", "none")
                    }
                })
            }
            _ => Err(Invalid::at(
                "",
                "either `steps`, or `from`, `to`, `start` and `duration`",
                "some of both, or not all of them",
            )),
        }
    }
}

fn stepped(steps: Vec<Object<RawStep>>, paused_at: Option<Duration>) -> Result<Schedule, Invalid> {
    if steps.len() > MAX_STEPS {
        let expected = format!("at most {MAX_STEPS} steps");
        return Err(Invalid::at("/steps", expected, steps.len().to_string()));
    }
    let point = |Object(step): Object<RawStep>| Point { at: step.at.0, weight: step.weight };
    let points: Vec<Point> = steps.into_iter().map(point).collect();
    let weights: Vec<PartsPerMillion> = points.iter().map(|point| point.weight).collect();
    Schedule::ramp(points, Course::Steps, paused_at).map_err(|disorder| match disorder {
        Disorder::Weight(index) => {
            let weight = weights.get(index).map_or(0, |weight| weight.parts());
            let pointer = format!("/steps/{index}/weight");
            let expected = "a weight not below that of the step before";
            Invalid::at(pointer, expected, decimal(weight.into()))
        }
        Disorder::Time(index) => Invalid::at(
            format!("/steps/{index}/at"),
            "a time after that of the step before",
            "one that is not",
        ),
        Disorder::Empty => Invalid::at("/steps", "at least one item", "0"),
    })
}

/// Parts per million as a percentage.
fn decimal(parts: u64) -> String {
    let text = format!("{}.{:04}", parts / 10_000, parts % 10_000);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}
