//! What is looked at once a request is over: what came of it, for the guard, and whether it went where it was meant to go.

use std::borrow::Cow;

use filter_core::metrics::{Family, InvalidMetric, LabelValue};
use filter_core::{Attribute, Count, Headers, Metrics, Ports, Rule, View};

use crate::assign::{Assignment, Place, Why};
use crate::config::{Mode, Overrides, Rollout};
use crate::guard::ending::Protocol;
use crate::guard::{Gate, Guard, Moment};
use crate::ways::{self, Way, Went};

/// How one rollout is watched.
#[derive(Debug)]
pub(crate) struct Watch {
    rollout: Rule,
    /// The versions, the first being stable.
    names: Vec<String>,
    /// Which of them are the variants, by their order. A platform's control may be stable.
    places: Vec<usize>,
    guard: Option<Guard>,
    overrides: Overrides,
    ways: Option<(Vec<Way>, Family)>,
}

/// What is kept of a request until it is over.
#[derive(Debug, Default)]
pub(crate) struct Notes {
    protocol: Protocol,
    watched: Vec<Watched>,
}

/// What one rollout decided of it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Watched {
    rollout: usize,
    meant: Meant,
    /// When, if the guard is to count it.
    decided: Option<Moment>,
}

/// Where a request was meant to go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Meant {
    /// To this version.
    Version(usize),
    /// Wherever the route's weights lead.
    AsWeighted,
}

/// Whom the guard may keep from a variant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    /// Whoever was given it.
    ByWeight,
    /// Nobody: they chose it themselves.
    Forced,
    /// Those who have stable anyway.
    OnStable,
    /// Nothing was decided that anybody follows.
    Unwatched,
}

impl Watch {
    /// Whoever is given a variant is kept from it, however they came to it; testers, unless they are let through.
    fn standing(&self, why: Why) -> Standing {
        match why {
            Why::Override if self.overrides == Overrides::Pass => Standing::Forced,
            Why::Bucket
            | Why::Delegated
            | Why::MissingKey
            | Why::Random
            | Why::Sticky
            | Why::Segment
            | Why::Override
            | Why::Propagated => Standing::ByWeight,
            Why::Stable | Why::KillSwitch | Why::Holdout | Why::Excluded | Why::Guarded => {
                Standing::OnStable
            }
            Why::Shadow => Standing::Unwatched,
        }
    }
}

/// The words for where a request went, in the order of the label's values.
const RESULTS: [&str; 4] = ["as_meant", "elsewhere", "no_route", "not_routed"];
/// What a version is called that is none of the known ones.
const NONE: &str = "none";

impl Watch {
    /// How the rollout is to be watched, if it is.
    ///
    /// # Errors
    /// When what is found cannot be counted.
    pub(crate) fn of(
        rollout: &Rollout,
        metrics: &mut Metrics,
    ) -> Result<Option<Self>, InvalidMetric> {
        // In shadow nobody goes where it says.
        let Some(terms) = rollout.watched.as_ref().filter(|_| rollout.mode == Mode::Enforce) else {
            return Ok(None);
        };
        let names = terms.names.clone();
        let place = |variant: &Rule| names.iter().position(|name| name == variant.as_str());
        let places = rollout.variants.iter().filter_map(place).collect();
        let guard = terms.guard.clone();
        let guard = guard.map(|guard| Guard::new(guard, &rollout.name, names.clone(), metrics));
        let ways = terms.ways.clone().map(|ways| {
            let label = |text: &str| LabelValue::parse(text).ok_or(InvalidMetric::Name);
            let versions = names.iter().map(String::as_str).chain([NONE]);
            let labels = vec![
                ("rollout", vec![label(rollout.name.as_str())?]),
                ("variant", versions.map(label).collect::<Result<_, _>>()?),
                ("result", RESULTS.into_iter().map(label).collect::<Result<_, _>>()?),
            ];
            Ok((ways, metrics.counter("outrigger_canary_routes_total", labels)?))
        });
        let (guard, ways) = (guard.transpose()?, ways.transpose()?);
        let (rollout, overrides) = (rollout.name.clone(), terms.overrides);
        Ok(Some(Self { rollout, names, places, guard, overrides, ways }))
    }

    /// The attributes that it asks for when a request is over.
    pub(crate) fn attributes(&self) -> Vec<Attribute> {
        let guard = self.guard.as_ref().map(|guard| guard.endings().attributes());
        let ways = self.ways.as_ref().map(|(ways, _)| ways::attributes(ways));
        guard.into_iter().chain(ways).flatten().collect()
    }

    /// Whether something is to be done by the clock.
    pub(crate) fn guards(&self) -> bool {
        self.guard.is_some()
    }

    /// Keeps a user from a variant that is off, and notes what to look at later. `key` is asked for only where a few may
    /// try the variant.
    pub(crate) fn admit<'k>(
        &self,
        rollout: usize,
        got: &mut Assignment,
        key: impl FnOnce() -> Option<Cow<'k, [u8]>>,
        ports: &Ports<'_>,
    ) -> Option<Watched> {
        let standing = self.standing(got.why);
        if standing == Standing::Unwatched {
            return None;
        }
        // Who passes whatever the guard says tells it nothing either.
        let guard = self.guard.as_ref().filter(|_| standing != Standing::Forced);
        let decided = guard.map(|guard| guard.now(ports));
        let delegated = self.places.is_empty();
        if standing == Standing::ByWeight
            && let Some(guard) = guard
        {
            let gate = match self.version(got.variant) {
                _ if delegated => guard.strictest(),
                version => guard.gate(version),
            };
            let shut = match gate {
                Gate::Open => false,
                Gate::HalfOpen => !key().is_some_and(|key| guard.probes(&key)),
                Gate::Closed => true,
            };
            if shut {
                // The low end is where a route's stable version is.
                *got = Assignment { why: Why::Guarded, variant: None, place: Some(Place::Of(0)) };
            }
        }
        let meant = match self.standing(got.why) {
            Standing::ByWeight if delegated => Meant::AsWeighted,
            _ => Meant::Version(self.version(got.variant)),
        };
        Some(Watched { rollout, meant, decided })
    }

    /// Which of the versions a variant is.
    fn version(&self, variant: Option<usize>) -> usize {
        variant.and_then(|variant| self.places.get(variant)).copied().unwrap_or_default()
    }

    /// Looks at a request that is over. Tells what to count, and the word for where it went.
    fn over(
        &self,
        watched: Watched,
        protocol: Protocol,
        view: View<'_>,
    ) -> (Option<Count>, Option<&'static str>) {
        let meant = match watched.meant {
            Meant::Version(version) => Some(version),
            Meant::AsWeighted => None,
        };
        let went = self.ways.as_ref().map(|(ways, _)| ways::went(ways, meant, view));
        // What went elsewhere says nothing of the version that was meant.
        let answerer = match (went, meant) {
            (Some(Went::To(version)), None) => Some(version),
            (Some(Went::To(version)), Some(meant)) => Some(version).filter(|to| *to == meant),
            (Some(Went::Elsewhere), _) => None,
            (Some(Went::NoRoute | Went::NotRouted) | None, meant) => meant,
        };
        if let (Some(guard), Some(decided), Some(version)) =
            (&self.guard, watched.decided, answerer)
            && let Some(tally) = guard.endings().count(view, protocol)
        {
            guard.count(version, decided, tally);
        }
        let (Some(went), Some((_, family))) = (went, &self.ways) else { return (None, None) };
        let (version, result) = match went {
            Went::To(version) => (meant.unwrap_or(version), usize::from(answerer.is_none())),
            Went::Elsewhere => (meant.unwrap_or(self.names.len()), 1),
            Went::NoRoute => (meant.unwrap_or(self.names.len()), 2),
            Went::NotRouted => (meant.unwrap_or(self.names.len()), 3),
        };
        let count = Count::Add(family.series(&[0, version, result]), 1);
        (Some(count), RESULTS.get(result).copied())
    }

    /// What is to be done by the clock.
    pub(crate) fn tick(&self, ports: &Ports<'_>) -> Vec<Count> {
        self.guard.as_ref().map(|guard| guard.tick(ports)).unwrap_or_default()
    }
}

impl Notes {
    pub(crate) fn is_empty(&self) -> bool {
        self.watched.is_empty()
    }

    /// Keeps what is to be looked at when the request with these headers is over.
    pub(crate) fn keep(&mut self, watched: Watched, headers: Headers<'_>) {
        if self.watched.is_empty() && headers.is_grpc() {
            self.protocol = Protocol::Grpc;
        }
        self.watched.push(watched);
    }

    /// Looks at a request that is over. Tells what to count, and where it went by each rollout that has routes, as
    /// `ROLLOUT=RESULT`.
    pub(crate) fn over(&self, watches: &[Option<Watch>], view: View<'_>) -> (Vec<Count>, Vec<u8>) {
        let (mut counts, mut words) = (Vec::new(), Vec::new());
        for watched in &self.watched {
            let Some(Some(watch)) = watches.get(watched.rollout) else { continue };
            let (count, word) = watch.over(*watched, self.protocol, view);
            counts.extend(count);
            words.extend(word.map(|word| format!("{}={word}", watch.rollout)));
        }
        (counts, words.join(",").into_bytes())
    }
}
