//! Metrics as Prometheus would get them: scraped from the agent, which merges the proxy's with the application's.

use std::collections::BTreeMap;

use crate::{Bed, Connection, Fault, NAMESPACE, Place};

/// The port on which an Istio agent serves what it merged.
const MERGED: u16 = 15020;

/// One series: its labels and its value.
#[derive(Clone, Debug, PartialEq)]
pub struct Series {
    /// Names and values.
    pub labels: BTreeMap<String, String>,
    /// How many.
    pub value: f64,
}

impl Series {
    /// A label's value; empty if it has none of that name.
    #[must_use]
    pub fn label(&self, name: &str) -> &str {
        self.labels.get(name).map_or("", String::as_str)
    }
}

/// All series of one name, in Prometheus' text format.
///
/// # Errors
/// When a line of that name cannot be read.
fn parse(text: &str, name: &str) -> Result<Vec<Series>, Fault> {
    text.lines()
        .filter_map(|line| line.strip_prefix(name)?.strip_prefix('{'))
        .map(|rest| read(rest).ok_or_else(|| format!("not a series of {name}: {rest}")))
        .collect()
}

/// What follows a name's `{`: `a="b",c="d"} 1`.
fn read(mut rest: &str) -> Option<Series> {
    let mut labels = BTreeMap::new();
    while let Some((label, after)) = rest.split_once("=\"") {
        let (value, after) = after.split_once('"')?;
        labels.insert(label.trim_start_matches(',').to_owned(), value.to_owned());
        rest = after;
    }
    Some(Series { labels, value: rest.strip_prefix('}')?.trim().parse().ok()? })
}

impl Bed {
    /// All series of one name, from every pod of an application of the demo.
    ///
    /// # Errors
    /// As [`Place::scrape`].
    pub fn scrape(&self, app: &str, name: &str) -> Result<Vec<Series>, Fault> {
        self.place(NAMESPACE).scrape(app, name)
    }
}

impl Place<'_> {
    /// All series of one name, from every pod of an application.
    ///
    /// # Errors
    /// When one of them does not answer, or answers with something else.
    pub fn scrape(&self, app: &str, name: &str) -> Result<Vec<Series>, Fault> {
        let label = format!("app={app}");
        let addresses = ["get", "pods", "-l", &label, "-o", "jsonpath={.items[*].status.podIP}"];
        let mut all = Vec::new();
        for address in self.kubectl(&addresses, "")?.split_whitespace() {
            let answer = Connection::to(address, MERGED).get(
                address,
                "/stats/prometheus",
                &[("accept", "text/plain")],
            )?;
            if answer.status != 200 {
                return Err(format!("{address}:{MERGED} answered {}", answer.status));
            }
            all.extend(parse(&answer.body, name)?);
        }
        Ok(all)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_and_value_are_read_and_other_names_are_not() {
        let text =
            "# TYPE a_total counter\na_total{rule=\"r:0\",path=\"/a/{b}\"} 3\na_total_b{} 4\n";
        let found = parse(text, "a_total").unwrap();
        assert_eq!(found.len(), 1);
        assert_eq!(
            (found[0].label("rule"), found[0].label("path"), found[0].value),
            ("r:0", "/a/{b}", 3.0)
        );
        assert!(parse("a_total{rule=\"r\"} many", "a_total").is_err());
    }
}
