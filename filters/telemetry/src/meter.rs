//! What of a request is counted: itself, how long it took, how large it was, and what it was for the objectives.

mod instruments;

use std::time::Duration;

use filter_core::metrics::{Dimension, InvalidMetric, LabelValue, MetricKind, Metrics};
use filter_core::view::{Attribute, View};
use filter_core::{Count, Ports};

use crate::admission::{Counted, Side, Spec};
use crate::classify::Arrival;
use crate::end::{Detail, End, Ends};
use crate::label::Label;
use crate::learned::Table;
use crate::notes::{Ceiling, Notes};
use crate::route::Route;
use crate::series::{DURATIONS, Places, SIZES};
use crate::slo;
use crate::source::Source;
use crate::usage::Usage;

/// What is to be counted, and by which labels, told by position.
#[derive(Debug, Default)]
pub(crate) struct Wanted {
    pub(crate) detail: Detail,
    pub(crate) labels: Vec<Label>,
    /// With how much of ends.
    pub(crate) durations: Option<(Vec<usize>, Detail)>,
    pub(crate) sizes: Option<Vec<usize>>,
    pub(crate) objectives: Option<Objectives>,
    /// The most series of a metric, where there could be more.
    pub(crate) most: Option<usize>,
}

/// What good requests are, and by which labels they are counted.
#[derive(Clone, Debug)]
pub(crate) struct Objectives {
    /// How long one may take, where its route says nothing.
    pub(crate) threshold: Option<Duration>,
    pub(crate) labels: Vec<usize>,
}

/// The most series of histograms: each costs the proxy six kilobytes, and as much again for each worker.
pub(crate) const MAX_HISTOGRAMS: usize = 4000;

/// All counters and histograms.
#[derive(Debug)]
pub(crate) struct Meter {
    pub(crate) labels: Vec<Label>,
    /// All of them, by position.
    all: Vec<usize>,
    /// Whether more than one header of the request is read for them.
    reads_several_headers: bool,
    pub(crate) notes: Notes,
    places: Places,
    ends: Ends,
    requests: Counted,
    durations: Option<Durations>,
    sizes: Option<Sizes>,
    objectives: Option<(Objectives, Counted)>,
    /// How many series there can be, and how many are in use, where that is not known at load.
    bound: Option<(Ceiling, Usage)>,
}

/// How long requests took: a histogram in milliseconds, by how they ended, and what they took together, exactly.
#[derive(Debug)]
struct Durations {
    ends: Ends,
    /// Which labels they have, by position.
    labels: Vec<usize>,
    histogram: Counted,
    sum: Counted,
}

/// Histograms of the sizes of bodies.
#[derive(Debug)]
struct Sizes {
    /// Which labels they have, by position.
    labels: Vec<usize>,
    metrics: [(Attribute, Counted); 2],
}

/// Why not everything can be counted.
#[derive(Debug)]
pub(crate) enum Excess {
    /// There are too many series.
    Series(InvalidMetric),
    /// There are so many of histograms.
    Histograms(usize),
}

impl From<InvalidMetric> for Excess {
    fn from(invalid: InvalidMetric) -> Self {
        Self::Series(invalid)
    }
}

impl Meter {
    /// Declares everything.
    pub(crate) fn declare(
        wanted: Wanted,
        routes: &[Route],
        learned: Option<&Table>,
        metrics: &mut Metrics,
    ) -> Result<Self, Excess> {
        let Wanted { detail, labels, durations, sizes, objectives, most } = wanted;
        let places = Places::new(routes, learned)?;
        let ends = Ends::new(detail);
        let sides: Vec<Side> = labels.iter().map(Label::side).collect::<Result<_, _>>()?;
        let words = |label, words: &[&'static str]| {
            let values = words.iter().filter_map(|word| LabelValue::parse(word)).collect();
            Side::whole(Dimension::closed(label, values))
        };
        let mut histograms = 0_usize;
        let mut declare = |name, (kind, buckets), first: Vec<Side>, labels: &[usize]| {
            let before = metrics.series();
            let chosen = labels.iter().filter_map(|label| sides.get(*label)).cloned();
            let others: Vec<Side> = first.into_iter().chain(chosen).collect();
            let spec = Spec { name, kind, buckets };
            let counted = Counted::declare(spec, places.sides(&others), most, metrics)?;
            if kind == MetricKind::Histogram {
                let more = metrics.series().saturating_sub(before);
                histograms = histograms.saturating_add(more);
            }
            Ok::<Counted, InvalidMetric>(counted)
        };
        let counter: (MetricKind, &'static [u64]) = (MetricKind::Counter, &[]);
        let all: Vec<usize> = (0..labels.len()).collect();
        let requests = declare("http_server_requests_total", counter, vec![ends.side()?], &all)?;
        let durations = match durations {
            None => None,
            Some((labels, detail)) => {
                let ends = Ends::new(detail);
                let name = "http_server_request_duration_milliseconds";
                let histogram = (MetricKind::Histogram, DURATIONS);
                let histogram = declare(name, histogram, vec![ends.side()?], &labels)?;
                let name = "http_server_request_duration_microseconds_total";
                let sum = declare(name, counter, vec![ends.side()?], &labels)?;
                Some(Durations { ends, labels, histogram, sum })
            }
        };
        let sizes = match sizes {
            None => None,
            Some(labels) => {
                let mut histogram =
                    |name| declare(name, (MetricKind::Histogram, SIZES), Vec::new(), &labels);
                let request = histogram("http_server_request_body_size_bytes")?;
                let response = histogram("http_server_response_body_size_bytes")?;
                let metrics =
                    [(Attribute::RequestSize, request), (Attribute::ResponseSize, response)];
                Some(Sizes { labels, metrics })
            }
        };
        let objectives = match objectives {
            None => None,
            Some(objectives) => {
                let fixed = vec![words("slo", &slo::NAMES), words("verdict", &slo::Verdict::NAMES)];
                let name = "http_server_slo_requests_total";
                let counted = declare(name, counter, fixed, &objectives.labels)?;
                Some((objectives, counted))
            }
        };
        if histograms > MAX_HISTOGRAMS {
            return Err(Excess::Histograms(histograms));
        }
        let durations_of = durations.iter().flat_map(|each| [&each.histogram, &each.sum]);
        let sizes_of = sizes.iter().flat_map(|each| &each.metrics).map(|(_, counted)| counted);
        let objectives_of = objectives.iter().map(|(_, counted)| counted);
        let limited = [&requests].into_iter().chain(durations_of).chain(sizes_of);
        let limited = limited.chain(objectives_of).filter_map(Counted::limited);
        let learners = labels.iter().filter(|label| label.learns()).map(|label| label.name);
        let learners: Vec<&'static str> =
            learners.chain(learned.map(|_| "http_route")).chain(limited).collect();
        let learns = !learners.is_empty();
        let notes = Notes::declare(learners, metrics)?;
        let bound = learns.then(|| {
            let ceiling = Ceiling::declare(metrics)?;
            Ok::<_, InvalidMetric>((ceiling, Usage::declare(&(&labels, learned), metrics)?))
        });
        let bound = bound.transpose()?;
        let by_headers = labels
            .iter()
            .filter(|one| matches!(one.source, Source::Header(_) | Source::Baggage(_)));
        let reads_several_headers = by_headers.count() > 1;
        Ok(Self {
            labels,
            all,
            reads_several_headers,
            notes,
            places,
            ends,
            requests,
            durations,
            sizes,
            objectives,
            bound,
        })
    }

    /// The attributes that it needs when a request ends, besides those that tell how it did.
    pub(crate) fn attributes(&self) -> Vec<Attribute> {
        let mut attributes: Vec<Attribute> =
            self.labels.iter().filter_map(|label| label.source.attribute()).collect();
        if self.durations.is_some() || self.objectives.is_some() {
            attributes.push(Attribute::RequestDuration);
        }
        let by_header = self.labels.iter().any(|label| matches!(label.source, Source::Header(_)));
        if self.ends.tells_errors() || by_header {
            attributes.push(Attribute::ResponseCodeDetails);
        }
        attributes
            .extend(self.sizes.iter().flat_map(|sizes| &sizes.metrics).map(|(each, _)| *each));
        attributes
    }

    /// Where the request belongs by each label. What that teaches is counted.
    pub(crate) fn label(
        &self,
        view: View<'_>,
        end: End,
        ports: &Ports<'_>,
        counts: &mut Vec<Count>,
    ) -> Vec<usize> {
        if self.reads_several_headers {
            let _all_at_once = view.request();
        }
        let place = |label: &Label| label.place(view, end, ports.cells, &self.notes, counts);
        self.labels.iter().map(place).collect()
    }

    /// The counts of a request that ended. What is to be noted beside them is added to `noted`.
    pub(crate) fn count(
        &self,
        view: View<'_>,
        request: &Request<'_>,
        ports: &Ports<'_>,
        noted: &mut Vec<Count>,
    ) -> Vec<Count> {
        let Request { arrival, end, threshold, labels } = *request;
        let place = self.places.place(arrival.taken, arrival.method);
        let series = |counted: &Counted, first: &[usize], chosen: &[usize], noted: &mut _| {
            let labels = chosen.iter().map(|label| labels.get(*label).copied().unwrap_or_default());
            let others = first.iter().copied().chain(labels);
            counted.series(place, others, ports.cells, &self.notes, noted)
        };
        let one = series(&self.requests, &[self.ends.position(end)], &self.all, noted);
        let mut counts = vec![Count::Add(one, 1)];
        let took = duration(view);
        if let (Some(durations), Some(took)) = (&self.durations, took) {
            let whole = |number: u128| u64::try_from(number).unwrap_or(u64::MAX);
            let first = [durations.ends.position(end)];
            let histogram = series(&durations.histogram, &first, &durations.labels, noted);
            counts.push(Count::Record(histogram, whole(took.as_millis())));
            let sum = series(&durations.sum, &first, &durations.labels, noted);
            counts.push(Count::Add(sum, whole(took.as_micros())));
        }
        if let Some(Sizes { labels, metrics }) = &self.sizes {
            for (attribute, counted) in metrics {
                let size = view.number(*attribute).and_then(|size| u64::try_from(size).ok());
                if let Some(size) = size {
                    counts.push(Count::Record(series(counted, &[], labels, noted), size));
                }
            }
        }
        if let Some((objectives, counted)) = &self.objectives {
            let errors = Some(slo::errors(end));
            let latency = threshold.or(objectives.threshold);
            let latency = latency.map(|threshold| slo::latency(end, took, threshold));
            for (slo, verdict) in [errors, latency].into_iter().enumerate() {
                let Some(verdict) = verdict else { continue };
                let first = [slo, verdict.position()];
                let one = series(counted, &first, &objectives.labels, noted);
                counts.push(Count::Add(one, 1));
            }
        }
        counts
    }

    /// What is told once, by whoever counts first.
    pub(crate) fn first(&self) -> Option<Count> {
        self.bound.as_ref().map(|(ceiling, _)| ceiling.count())
    }

    /// How many series are in use from these counts on.
    pub(crate) fn tally(&self, counts: &mut Vec<Count>, ports: &Ports<'_>) {
        if let Some((_, usage)) = &self.bound {
            usage.count(counts, ports.cells);
        }
    }
}

/// A request that ended, as it is counted.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Request<'a> {
    pub(crate) arrival: &'a Arrival,
    pub(crate) end: End,
    /// How long a good one takes at most, on its route.
    pub(crate) threshold: Option<Duration>,
    /// Where it belongs by each label.
    pub(crate) labels: &'a [usize],
}

/// How long the request took.
pub(crate) fn duration(view: View<'_>) -> Option<Duration> {
    let nanos = view.number(Attribute::RequestDuration)?;
    u64::try_from(nanos).ok().map(Duration::from_nanos)
}
