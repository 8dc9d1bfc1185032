//! The series that requests are counted in, all of them known when the filter is configured.

use filter_core::Count;
use filter_core::metrics::{Family, InvalidMetric, LabelValue, Metrics};

use crate::method::{Method, Methods};
use crate::outcome::Ending;
use crate::route::Route;

/// `http_server_requests_total{http_route, http_request_method, outcome}`.
///
/// It is declared in parts, one for all routes that are about the same methods: a route about GET alone has five series,
/// not fifty-five.
#[derive(Debug)]
pub(crate) struct Requests {
    parts: Vec<Part>,
    /// Where each route is counted, by rank.
    places: Vec<Place>,
}

#[derive(Debug)]
struct Part {
    methods: Methods,
    family: Family,
}

#[derive(Clone, Copy, Debug, Default)]
struct Place {
    part: usize,
    row: usize,
}

impl Requests {
    /// Declares the series of these routes, and of the requests that take none of them.
    pub(crate) fn declare(routes: &[Route], metrics: &mut Metrics) -> Result<Self, InvalidMetric> {
        let label = |text: &str| LabelValue::parse(text).ok_or(InvalidMetric::Name);
        // The first place of all is for requests that take no route.
        let mut parts = vec![(Methods::ALL, vec![label("_other")?])];
        let mut places = Vec::with_capacity(routes.len());
        for route in routes {
            let part = parts.iter().position(|(methods, _)| *methods == route.methods);
            let part = part.unwrap_or(parts.len());
            if part == parts.len() {
                parts.push((route.methods, Vec::new()));
            }
            if let Some((_, rows)) = parts.get_mut(part) {
                places.push(Place { part, row: rows.len() });
                rows.push(route.label.clone());
            }
        }
        let words = |names: &mut dyn Iterator<Item = &'static str>| {
            names.map(label).collect::<Result<Vec<_>, _>>()
        };
        let parts = parts.into_iter().map(|(methods, routes)| {
            let labels = vec![
                ("http_route", routes),
                ("http_request_method", words(&mut methods.names())?),
                ("outcome", words(&mut Ending::ALL.iter().map(|end| end.as_str()))?),
            ];
            let family = metrics.counter("http_server_requests_total", labels)?;
            Ok(Part { methods, family })
        });
        Ok(Self { parts: parts.collect::<Result<_, _>>()?, places })
    }

    /// One more request: by the rank of its route, if it took one, its method, and what came of it.
    pub(crate) fn count(&self, route: Option<usize>, method: Method, end: Ending) -> Option<Count> {
        let place = route.and_then(|rank| self.places.get(rank)).copied().unwrap_or_default();
        let part = self.parts.get(place.part)?;
        let series =
            part.family.series(&[place.row, part.methods.position(method), end.position()]);
        Some(Count::Add(series, 1))
    }
}
