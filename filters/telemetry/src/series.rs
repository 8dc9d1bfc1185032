//! The rows of routes and methods that requests are counted in, and the buckets of histograms.

use filter_core::metrics::{Dimension, InvalidMetric, LabelValue};

use crate::admission::Side;
use crate::learned::Table;
use crate::method::{Method, Methods};
use crate::route::Route;

/// The buckets of OpenTelemetry's `http.server.request.duration`, in milliseconds.
pub(crate) const DURATIONS: &[u64] =
    &[5, 10, 25, 50, 75, 100, 250, 500, 750, 1000, 2500, 5000, 7500, 10_000];

/// The buckets of body sizes, in bytes: powers of four from 64 to 64 MiB. The conventions name none.
pub(crate) const SIZES: &[u64] =
    &[64, 256, 1024, 4096, 16_384, 65_536, 262_144, 1_048_576, 4_194_304, 16_777_216, 67_108_864];

/// Which route a request took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Taken {
    /// None.
    #[default]
    None,
    /// One of the configuration, by rank.
    Known(usize),
    /// One that was learned, by place.
    Learned(usize),
}

/// `http_route` and `http_request_method`, which go together: a route about GET alone has one row, not eleven.
#[derive(Debug)]
pub(crate) struct Places {
    known: Dimension,
    learned: Option<Dimension>,
    /// Where the rows of each route begin, by rank, and which methods they are about.
    begins: Vec<(usize, Methods)>,
}

impl Places {
    /// The rows of these routes, of the requests that take none of them, and of the routes that will be learned.
    pub(crate) fn new(routes: &[Route], learned: Option<&Table>) -> Result<Self, InvalidMetric> {
        let label = |text: &str| LabelValue::parse(text).ok_or(InvalidMetric::Name);
        let mut rows = Vec::new();
        let mut add = |route: &LabelValue, methods: Methods| {
            let begin = rows.len();
            for method in methods.names() {
                rows.push(vec![Some(route.clone()), Some(label(method)?)]);
            }
            Ok((begin, methods))
        };
        // The first rows of all are for requests that take no route.
        add(&label("_other")?, Methods::ALL)?;
        let begins = routes.iter().map(|route| add(&route.label, route.methods));
        let begins = begins.collect::<Result<_, InvalidMetric>>()?;
        let known = Dimension::rows(vec!["http_route", "http_request_method"], rows);
        let learned = learned.map(|table| table.dimension("http_route", Vec::new()));
        Ok(Self { known, learned, begins })
    }

    /// The sides of a family by these, and by more: of the routes that are known, and of those that are learned.
    pub(crate) fn sides(&self, others: &[Side]) -> (Vec<Side>, Option<Vec<Side>>) {
        let with = |first: Vec<Side>| first.into_iter().chain(others.iter().cloned()).collect();
        // The rest of all is `_other` with the last of methods.
        let last = Methods::ALL.names().count().saturating_sub(1);
        let known = with(vec![Side::collapsing(self.known.clone(), last)]);
        let methods = Methods::ALL.names().filter_map(LabelValue::parse).collect();
        let methods = Dimension::closed("http_request_method", methods);
        let learned = self.learned.as_ref().map(|learned| {
            let learned = Side::collapsing(learned.clone(), 0);
            with(vec![learned, Side::collapsing(methods, last)])
        });
        (known, learned)
    }

    /// Where a request belongs.
    pub(crate) fn place(&self, taken: Taken, method: Method) -> Place {
        match taken {
            Taken::Learned(place) => Place::Learned(place, Methods::ALL.position(method)),
            Taken::Known(rank) => {
                let (begin, methods) = self.begins.get(rank).copied().unwrap_or((0, Methods::ALL));
                Place::Known(begin.saturating_add(methods.position(method)))
            }
            Taken::None => Place::Known(Methods::ALL.position(method)),
        }
    }
}

/// The rows of `http_route` and `http_request_method` that a request belongs to.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Place {
    /// A row of both.
    Known(usize),
    /// A route that was learned, and a method.
    Learned(usize, usize),
}

/// The rows that a request belongs to: those of its place, and then those of what else it is told by.
#[derive(Clone, Debug)]
pub(crate) struct Rows {
    place: Place,
    rows: Vec<usize>,
}

impl Rows {
    /// Those of a place, with room for so many others.
    pub(crate) fn at(place: Place, others: usize) -> Self {
        let mut rows = Vec::with_capacity(others.saturating_add(2));
        match place {
            Place::Known(row) => rows.push(row),
            Place::Learned(route, method) => rows.extend([route, method]),
        }
        Self { place, rows }
    }

    /// One more.
    pub(crate) fn push(&mut self, row: usize) {
        self.rows.push(row);
    }

    /// Their place.
    pub(crate) fn place(&self) -> Place {
        self.place
    }

    /// All of them.
    pub(crate) fn all(&self) -> &[usize] {
        &self.rows
    }

    /// Those after the ones of the place.
    pub(crate) fn others(&self) -> &[usize] {
        let own = match self.place {
            Place::Known(_) => 1,
            Place::Learned(..) => 2,
        };
        self.rows.get(own..).unwrap_or_default()
    }
}
