//! What of a request is counted: itself, how long it took, how large it was, and what it was for the objectives.

mod instruments;

use std::time::Duration;

use filter_core::metrics::{Dimension, InvalidMetric, LabelValue, MetricKind, Metrics};
use filter_core::view::{Attribute, View};
use filter_core::{Count, Ports, Series};

use crate::admission::{Counted, Side, Spec};
use crate::classify::Arrival;
use crate::end::{Detail, End, Ends};
use crate::label::Label;
use crate::learned::Table;
use crate::notes::{Ceiling, Notes};
use crate::route::Route;
use crate::series::{DURATIONS, Places, Rows, SIZES};
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

/// The most counts of one request: itself, how long it took, its sizes, and the objectives.
const MOST_COUNTS: usize = 7;

/// All counters and histograms.
#[derive(Debug)]
pub(crate) struct Meter {
    pub(crate) labels: Vec<Label>,
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
    by: By,
    histogram: Counted,
    sum: Counted,
}

/// What durations are told by, besides route and method.
#[derive(Debug)]
enum By {
    /// By what begins the rows that requests are counted by: how they end, and the first of the labels.
    Same,
    /// By how they end in words of their own, and labels by position.
    Own(Ends, Vec<usize>),
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
        let begins = |chosen: &[usize]| all.starts_with(chosen);
        let requests = declare("http_server_requests_total", counter, vec![ends.side()?], &all)?;
        let durations = match durations {
            None => None,
            Some((labels, detail)) => {
                let same = begins(&labels) && detail == *ends.detail();
                let ends = Ends::new(detail);
                let name = "http_server_request_duration_milliseconds";
                let histogram = (MetricKind::Histogram, DURATIONS);
                let histogram = declare(name, histogram, vec![ends.side()?], &labels)?;
                let name = "http_server_request_duration_microseconds_total";
                let sum = declare(name, counter, vec![ends.side()?], &labels)?;
                let by = if same { By::Same } else { By::Own(ends, labels) };
                Some(Durations { by, histogram, sum })
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

    /// Where the request belongs: by its route and method, by how it ended, and by each label. What that teaches is
    /// counted.
    pub(crate) fn rows(
        &self,
        view: View<'_>,
        arrival: &Arrival,
        end: End,
        ports: &Ports<'_>,
        counts: &mut Vec<Count>,
    ) -> Rows {
        if self.reads_several_headers {
            let _all_at_once = view.request();
        }
        let place = self.places.place(arrival.taken, arrival.method);
        let mut rows = Rows::at(place, self.labels.len().saturating_add(1));
        rows.push(self.ends.position(end));
        for label in &self.labels {
            rows.push(label.place(view, end, ports.cells, &self.notes, counts));
        }
        rows
    }

    /// The counts of a request that ended. What is to be noted beside them is added to `noted`.
    pub(crate) fn count(
        &self,
        view: View<'_>,
        request: &Request<'_>,
        ports: &Ports<'_>,
        noted: &mut Vec<Count>,
    ) -> Vec<Count> {
        let Request { rows, end, took, .. } = *request;
        let mut series =
            |counted: &Counted, rows: &Rows| counted.series(rows, ports.cells, &self.notes, noted);
        let mut counts = Vec::with_capacity(MOST_COUNTS);
        counts.push(Count::Add(series(&self.requests, rows), 1));
        if let (Some(durations), Some(took)) = (&self.durations, took) {
            let own;
            let rows = match &durations.by {
                By::Same => rows,
                By::Own(ends, labels) => {
                    own = chosen(rows, &[ends.position(end)], labels);
                    &own
                }
            };
            counts.push(Count::Record(series(&durations.histogram, rows), took.millis()));
            counts.push(Count::Add(series(&durations.sum, rows), took.micros()));
        }
        if let Some(sizes) = &self.sizes {
            sizes.count(view, rows, &mut series, &mut counts);
        }
        if let Some((objectives, counted)) = &self.objectives {
            objectives.count(request, |rows| series(counted, rows), &mut counts);
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

impl Sizes {
    #[inline(never)]
    fn count(
        &self,
        view: View<'_>,
        rows: &Rows,
        mut series: impl FnMut(&Counted, &Rows) -> Series,
        counts: &mut Vec<Count>,
    ) {
        let rows = chosen(rows, &[], &self.labels);
        for (attribute, counted) in &self.metrics {
            let size = view.number(*attribute).and_then(|size| u64::try_from(size).ok());
            if let Some(size) = size {
                counts.push(Count::Record(series(counted, &rows), size));
            }
        }
    }
}

impl Objectives {
    #[inline(never)]
    fn count(
        &self,
        request: &Request<'_>,
        mut series: impl FnMut(&Rows) -> Series,
        counts: &mut Vec<Count>,
    ) {
        let Request { end, took, threshold, rows } = *request;
        let errors = Some(slo::errors(end));
        let latency = threshold.or(self.threshold);
        let took = took.map(Took::duration);
        let latency = latency.map(|threshold| slo::latency(end, took, threshold));
        for (slo, verdict) in [errors, latency].into_iter().enumerate() {
            let Some(verdict) = verdict else { continue };
            let rows = chosen(rows, &[slo, verdict.position()], &self.labels);
            counts.push(Count::Add(series(&rows), 1));
        }
    }
}

/// A request that ended, as it is counted.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Request<'a> {
    pub(crate) end: End,
    pub(crate) took: Option<Took>,
    /// How long a good one takes at most, on its route.
    pub(crate) threshold: Option<Duration>,
    /// Where it belongs.
    pub(crate) rows: &'a Rows,
}

/// Where a request belongs by each label.
pub(crate) fn by_labels(rows: &Rows) -> &[usize] {
    rows.others().get(1..).unwrap_or_default()
}

/// The rows of the same place, of `first`, and of these labels.
#[inline(never)]
fn chosen(rows: &Rows, first: &[usize], labels: &[usize]) -> Rows {
    let all = by_labels(rows);
    let mut chosen = Rows::at(rows.place(), first.len().saturating_add(labels.len()));
    first.iter().for_each(|row| chosen.push(*row));
    labels.iter().for_each(|label| chosen.push(all.get(*label).copied().unwrap_or_default()));
    chosen
}

/// How long a request took, in nanoseconds, as the proxy tells it. Most requests have it counted, and a [`Duration`] would
/// be divided into seconds first and put together in 128 bits again.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Took(u64);

impl Took {
    /// How long the exchange at hand took.
    pub(crate) fn of(view: View<'_>) -> Option<Self> {
        u64::try_from(view.number(Attribute::RequestDuration)?).ok().map(Self)
    }

    pub(crate) fn nanos(self) -> u64 {
        self.0
    }

    /// Whole microseconds.
    pub(crate) fn micros(self) -> u64 {
        self.0 / 1000
    }

    /// Whole milliseconds.
    fn millis(self) -> u64 {
        self.0 / 1_000_000
    }

    pub(crate) fn duration(self) -> Duration {
        Duration::from_nanos(self.0)
    }
}
