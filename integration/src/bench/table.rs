//! What was measured, for people.

use std::fmt::{self, Display, Formatter};

use crate::bench::report::{Report, Row};

const HEAD: [&str; 10] = [
    "SCENARIO",
    "FILTERS",
    "CPU µs",
    "ADDED µs",
    "×NATIVE",
    "OVER CALLS µs",
    "CALM µs",
    "NO-OPS",
    "P50 ms",
    "P99 ms",
];
/// The columns that hold text; the others hold numbers and are aligned at their end.
const TEXTS: usize = 2;

impl Display for Report {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let meta = &self.meta;
        let workers = match meta.workers {
            1 => "one worker".to_owned(),
            count => format!("{count} workers"),
        };
        writeln!(f, "envoy {}, {workers}, on {}", meta.envoy, meta.cpu)?;
        writeln!(f, "medians (quartiles) of {} rounds of {} s\n", meta.rounds, meta.round_seconds)?;
        let head = HEAD.map(str::to_owned);
        let lines: Vec<_> = [head].into_iter().chain(self.rows.iter().map(cells)).collect();
        let mut widths = [0; HEAD.len()];
        for line in &lines {
            for (width, cell) in widths.iter_mut().zip(line) {
                *width = (*width).max(cell.chars().count());
            }
        }
        for line in &lines {
            let padded = line.iter().zip(widths).enumerate().map(|(column, (cell, width))| {
                if column < TEXTS { format!("{cell:width$}") } else { format!("{cell:>width$}") }
            });
            writeln!(f, "{}", padded.collect::<Vec<_>>().join("  ").trim_end())?;
        }
        Ok(())
    }
}

fn cells(row: &Row) -> [String; HEAD.len()] {
    [
        row.scenario.to_owned(),
        row.chain.to_owned(),
        format!("{:.1}", row.cpu_us),
        with_spread(row, row.added_us, "added_us"),
        with_spread(row, row.added_vs_native, "added_vs_native"),
        with_spread(row, row.over_calls_us, "over_calls_us"),
        row.calm_us.map_or_else(|| "-".to_owned(), |calm| format!("{calm:.1}")),
        row.calm_vs_noop.map_or_else(|| "-".to_owned(), |calm| format!("{calm:.2}")),
        format!("{:.3}", row.p50_ms),
        format!("{:.3}", row.p99_ms),
    ]
}

fn with_spread(row: &Row, median: Option<f64>, name: &str) -> String {
    match (median, row.spread.get(name)) {
        (Some(median), Some([low, high])) => format!("{median:.1} ({low:.1} to {high:.1})"),
        _ => "-".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::bench::report::Meta;

    #[test]
    fn numbers_stand_under_their_heads() {
        let row = Row {
            scenario: "canary",
            chain: "canary",
            floor: Some("no filter"),
            native: None,
            calls: None,
            requests: 1,
            cpu_us: 15.04,
            added_us: Some(5.0),
            added_vs_noop: Some(2.0),
            added_vs_native: None,
            over_noop_us: Some(2.5),
            over_native_us: None,
            over_calls_us: None,
            calm_us: Some(4.25),
            calm_vs_noop: Some(1.75),
            p50_ms: 0.1,
            p99_ms: 0.25,
            spread: BTreeMap::from([("added_us", [4.5, 5.5])]),
        };
        let meta = Meta {
            envoy: "1.40.0".to_owned(),
            cpu: "a processor".to_owned(),
            workers: 1,
            rounds: 3,
            round_seconds: 0.15,
            module_bytes: BTreeMap::new(),
        };
        let table = Report { meta, rows: vec![row] }.to_string();
        let expected = "\
envoy 1.40.0, one worker, on a processor
medians (quartiles) of 3 rounds of 0.15 s

SCENARIO  FILTERS  CPU µs          ADDED µs  ×NATIVE  OVER CALLS µs  CALM µs  NO-OPS  P50 ms  P99 ms
canary    canary     15.0  5.0 (4.5 to 5.5)        -              -      4.2    1.75   0.100   0.250
";
        assert_eq!(table, expected);
    }
}
