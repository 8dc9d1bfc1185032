//! How a request ended: its outcome, its status and its error, and the rows of labels that these can have together.

use std::collections::BTreeMap;

use filter_core::metrics::{Dimension, InvalidMetric, LabelValue};
use filter_core::view::{Attribute, View};

use crate::admission::Side;
use crate::error;
use crate::outcome::Ending;

/// How a request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct End {
    /// In one word.
    pub(crate) outcome: Ending,
    /// The status that the outcome hangs on, or goes with: none where the client left.
    pub(crate) code: Option<u16>,
    /// Why it failed, if it did.
    pub(crate) error: Option<&'static str>,
}

impl End {
    /// How the exchange at hand ended, by what the filter declared to ask for. `expected` are the statuses that are no
    /// error on its route.
    pub(crate) fn of(view: View<'_>, grpc: bool, expected: &[u16]) -> Self {
        let flags = view.number(Attribute::ResponseFlags).unwrap_or_default();
        if Ending::left(flags) {
            return Self { outcome: Ending::Cancelled, code: None, error: None };
        }
        let code = view.number(Attribute::ResponseCode).and_then(|code| u16::try_from(code).ok());
        // The proxy derives a gRPC status for plain HTTP too, so that it is asked for gRPC alone.
        let status = if grpc { view.number(Attribute::ResponseGrpcStatus) } else { None };
        if let Some(status) = status {
            let outcome = Ending::of_grpc(status);
            let failed = matches!(outcome, Ending::ClientError | Ending::ServerError);
            return Self {
                outcome,
                // gRPC that failed in HTTP already is told by the status that gRPC gives to that.
                code: code.filter(|code| *code == 200 && outcome != Ending::Cancelled),
                error: failed.then(|| error::of_grpc(status)),
            };
        }
        let outcome = match code {
            // Most routes expect nothing, and need no search of it.
            Some(code) if !expected.is_empty() && expected.contains(&code) => Ending::Ok,
            Some(code) => Ending::of_http(code.into()),
            None => Ending::Unknown,
        };
        let details = || view.text(Attribute::ResponseCodeDetails).unwrap_or_default();
        let error = error::of_http(outcome, code.unwrap_or_default(), flags, details);
        Self { outcome, code: code.filter(|_| outcome != Ending::Unknown), error }
    }

    /// The hundreds of its status, 0 for none.
    fn class(self) -> u8 {
        let hundreds = self.code.and_then(|code| code.checked_div(100));
        hundreds.and_then(|hundreds| u8::try_from(hundreds).ok()).unwrap_or_default()
    }
}

/// Which labels tell how requests end, besides `outcome`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Detail {
    /// `http_response_status_class`, if anything.
    pub(crate) class: Option<Shown>,
    /// `http_response_status_code`, if anything: the statuses that have a row of their own.
    pub(crate) codes: Option<Vec<u16>>,
    /// `error_type`, if anything.
    pub(crate) error: Option<Shown>,
    /// `Some` if a 4xx or 5xx may be no error on some route.
    pub(crate) expected: Option<Shown>,
}

impl Detail {
    /// Whether an end is its outcome and nothing else.
    fn is_bare(&self) -> bool {
        self.class.is_none() && self.codes.is_none() && self.error.is_none()
    }
}

/// Something is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Shown;

/// The rows of labels that ends can have.
#[derive(Debug)]
pub(crate) struct Ends {
    detail: Detail,
    rows: BTreeMap<Row, usize>,
    /// Where the rows are that tell an outcome and nothing else, by its position.
    bare: Vec<usize>,
}

/// What is shown of an end: outcome, class, status and error, in so far as there are labels for them.
type Row = (usize, u8, u16, Option<&'static str>);

/// A status without a row of its own.
const OTHER_CODE: u16 = 0;
/// No status.
const NO_CODE: u16 = u16::MAX;

const CLASSES: [&str; 6] = ["", "1xx", "2xx", "3xx", "4xx", "5xx"];

impl Ends {
    /// All ends that this much is shown of.
    pub(crate) fn new(detail: Detail) -> Self {
        let mut ends = Self { detail, rows: BTreeMap::new(), bare: Vec::new() };
        let mut rows: Vec<Row> = Vec::new();
        for end in ends.possible() {
            let row = ends.row(end);
            if !rows.contains(&row) {
                rows.push(row);
            }
        }
        ends.rows = rows.into_iter().enumerate().map(|(index, row)| (row, index)).collect();
        let bare = |outcome| ends.row(End { outcome, code: None, error: None });
        let bare = Ending::ALL.map(|outcome| ends.rows.get(&bare(outcome)).copied());
        ends.bare = bare.into_iter().map(Option::unwrap_or_default).collect();
        ends
    }

    /// Whether they tell why requests fail.
    pub(crate) fn tells_errors(&self) -> bool {
        self.detail.error.is_some()
    }

    /// How much is shown of ends.
    pub(crate) fn detail(&self) -> &Detail {
        &self.detail
    }

    /// Where an end's row is.
    pub(crate) fn position(&self, end: End) -> usize {
        let found = if self.detail.is_bare() { None } else { self.detailed(end) };
        // What cannot be is counted by its outcome, or else as what nobody can tell.
        let bare = || self.bare.get(end.outcome.position()).copied();
        found.or_else(bare).unwrap_or_default()
    }

    #[inline(never)]
    fn detailed(&self, end: End) -> Option<usize> {
        self.rows.get(&self.row(end)).copied()
    }

    /// The labels and their rows, of which the outcome always stays.
    pub(crate) fn side(&self) -> Result<Side, InvalidMetric> {
        let mut rows: Vec<(usize, usize)> =
            self.rows.iter().map(|((outcome, ..), row)| (*row, *outcome)).collect();
        rows.sort_unstable();
        let bare = |outcome: usize| {
            let outcome = Ending::ALL.get(outcome).copied().unwrap_or(Ending::Unknown);
            self.position(End { outcome, code: None, error: None })
        };
        let stands: Vec<usize> = rows.into_iter().map(|(_, outcome)| bare(outcome)).collect();
        Ok(Side::kept(self.dimension()?, &stands))
    }

    fn dimension(&self) -> Result<Dimension, InvalidMetric> {
        let mut labels = vec!["outcome"];
        let Detail { class, codes, error, .. } = &self.detail;
        labels.extend(class.map(|_| "http_response_status_class"));
        labels.extend(codes.as_ref().map(|_| "http_response_status_code"));
        labels.extend(error.map(|_| "error_type"));
        let label = |text: &str| LabelValue::parse(text).ok_or(InvalidMetric::Name);
        let row = |(outcome, hundreds, code, word): &Row| {
            let outcome = Ending::ALL.get(*outcome).map_or("", |ending| ending.as_str());
            let mut values = vec![Some(label(outcome)?)];
            if class.is_some() {
                let class = CLASSES.get(usize::from(*hundreds)).filter(|class| !class.is_empty());
                values.push(class.map(|class| label(class)).transpose()?);
            }
            if codes.is_some() {
                values.push(match *code {
                    NO_CODE => None,
                    OTHER_CODE => Some(label("_other")?),
                    code => Some(label(&code.to_string())?),
                });
            }
            if error.is_some() {
                values.push(word.map(label).transpose()?);
            }
            Ok(values)
        };
        let mut rows: Vec<(&Row, &usize)> = self.rows.iter().collect();
        rows.sort_by_key(|(_, index)| **index);
        let rows = rows.into_iter().map(|(each, _)| row(each)).collect::<Result<_, _>>()?;
        Ok(Dimension::rows(labels, rows))
    }

    /// What is shown of an end.
    fn row(&self, end: End) -> Row {
        let Detail { class, codes, error, .. } = &self.detail;
        let code = match (codes, end.code) {
            (Some(codes), Some(code)) if codes.contains(&code) => code,
            (Some(_), Some(_)) => OTHER_CODE,
            (None, _) | (_, None) => NO_CODE,
        };
        let class = class.map_or(0, |_| end.class());
        (end.outcome.position(), class, code, end.error.filter(|_| error.is_some()))
    }

    /// Every end that there can be, once or more. The last is what all others fall back to.
    fn possible(&self) -> Vec<End> {
        let codes = self.detail.codes.iter().flatten().copied();
        // One without a row of its own for each class, and those with.
        let all: Vec<u16> = [199, 299, 399, 499, 599].into_iter().chain(codes).collect();
        let of_class = |hundreds: u16| {
            all.iter().copied().filter(move |code| code.checked_div(100) == Some(hundreds))
        };
        let mut ends = Vec::new();
        let mut add = |outcome, code, error| ends.push(End { outcome, code, error });
        for outcome in Ending::ALL.into_iter().rev() {
            add(outcome, None, None);
        }
        let highest = if self.detail.expected.is_some() { 5 } else { 3 };
        for code in (1..=highest).flat_map(of_class).chain([200]) {
            add(Ending::Ok, Some(code), None);
        }
        for (outcome, hundreds) in [(Ending::ClientError, 4), (Ending::ServerError, 5)] {
            for code in of_class(hundreds) {
                add(outcome, Some(code), None);
                error::words(outcome).for_each(|word| add(outcome, Some(code), Some(word)));
            }
            for word in error::grpc_words(outcome) {
                add(outcome, Some(200), Some(word));
                add(outcome, None, Some(word));
            }
        }
        // gRPC says that it does not know.
        add(Ending::Unknown, Some(200), None);
        ends
    }
}

#[cfg(test)]
mod tests;
