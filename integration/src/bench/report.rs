//! What was measured, for machines.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Serialize;

use crate::bench::rounds::{Plan, Series};
use crate::bench::scenario::Scenario;
use crate::bench::scenarios::NOOP;
use crate::bench::statistics::{Spread, calm, differences, ratios};

/// All of it.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// Of what and how.
    pub meta: Meta,
    /// A row for each scenario.
    pub rows: Vec<Row>,
}

/// Of what and how.
#[derive(Clone, Debug, Serialize)]
pub struct Meta {
    /// Envoy's version.
    pub envoy: String,
    /// The processor.
    pub cpu: String,
    /// Envoy's workers.
    pub workers: u32,
    /// The rounds.
    pub rounds: u32,
    /// How long each scenario had in each of them, in seconds.
    pub round_seconds: f64,
    /// The size of each module, in bytes.
    pub module_bytes: BTreeMap<String, u64>,
}

/// One scenario. Every number is a median over the rounds, and what compares two scenarios was compared round by round; but
/// for those that say how it is while the machine is [`calm`].
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    /// Its name.
    pub scenario: &'static str,
    /// Its filters.
    pub chain: &'static str,
    /// The scenario without the filters.
    pub floor: Option<&'static str>,
    /// The scenario in which Envoy's own filters do the same.
    pub native: Option<&'static str>,
    /// The scenario in which a module makes the host calls that this cannot be done without, and does nothing else.
    pub calls: Option<&'static str>,
    /// How many requests were measured.
    pub requests: usize,
    /// Envoy's processor time for a request, in microseconds.
    pub cpu_us: f64,
    /// What of it the filters add to the floor.
    pub added_us: Option<f64>,
    /// What they add, as a multiple of what a filter adds that does nothing.
    pub added_vs_noop: Option<f64>,
    /// What they add, as a multiple of what Envoy's own filters add; none where there are none, or where what they add
    /// drowns in the noise.
    pub added_vs_native: Option<f64>,
    /// What they add beyond a filter that does nothing, in microseconds.
    pub over_noop_us: Option<f64>,
    /// What they add beyond what Envoy's own filters add, in microseconds.
    pub over_native_us: Option<f64>,
    /// What they add beyond what the host calls alone add, in microseconds.
    pub over_calls_us: Option<f64>,
    /// What the filters add to the floor while the machine is calm, in microseconds.
    pub calm_us: Option<f64>,
    /// The same, as a multiple of what a filter adds that does nothing.
    pub calm_vs_noop: Option<f64>,
    /// The median latency, in milliseconds.
    pub p50_ms: f64,
    /// The latency that one request of a hundred exceeded, in milliseconds.
    pub p99_ms: f64,
    /// Between what the middle half of the rounds lay, for each of these numbers that there is.
    pub spread: BTreeMap<&'static str, [f64; 2]>,
}

/// The rows of what was measured, in the order of the scenarios.
#[must_use]
pub fn rows(scenarios: &[Scenario], series: &[Series]) -> Vec<Row> {
    let cpu = |name: &str| {
        let mut pairs = scenarios.iter().zip(series);
        pairs.find(|(scenario, _)| scenario.name == name).map(|(_, series)| &series.cpu_us)
    };
    let added = |name: &str| {
        let floor = scenarios.iter().find(|scenario| scenario.name == name)?.floor?;
        Some(differences(cpu(name)?, cpu(floor)?))
    };
    let noop = added(NOOP);
    let calmly = |name: &str| {
        let floor = scenarios.iter().find(|scenario| scenario.name == name)?.floor?;
        Some(calm(cpu(name)?)? - calm(cpu(floor)?)?)
    };
    let calm_noop = calmly(NOOP).filter(|noop| *noop > 0.0);
    let row = |(scenario, series): (&Scenario, &Series)| {
        let own = added(scenario.name);
        let native = scenario.native.and_then(added);
        let calls = scenario.calls.and_then(added);
        let against = |other: &Option<Vec<f64>>, compare: fn(&[f64], &[f64]) -> Vec<f64>| {
            Some(compare(own.as_deref()?, other.as_deref()?))
        };
        let mut spread = BTreeMap::new();
        let mut median = |name, values: Option<&[f64]>| {
            let found = Spread::of(values?)?;
            spread.insert(name, [rounded(found.low), rounded(found.high)]);
            Some(rounded(found.median))
        };
        Row {
            scenario: scenario.name,
            chain: scenario.chain,
            floor: scenario.floor,
            native: scenario.native,
            calls: scenario.calls,
            requests: series.requests,
            cpu_us: median("cpu_us", Some(&series.cpu_us)).unwrap_or_default(),
            added_us: median("added_us", own.as_deref()),
            added_vs_noop: median("added_vs_noop", against(&noop, ratios).as_deref()),
            added_vs_native: median("added_vs_native", against(&native, ratios).as_deref()),
            over_noop_us: median("over_noop_us", against(&noop, differences).as_deref()),
            over_native_us: median("over_native_us", against(&native, differences).as_deref()),
            over_calls_us: median("over_calls_us", against(&calls, differences).as_deref()),
            calm_us: calmly(scenario.name).map(rounded),
            calm_vs_noop: calmly(scenario.name)
                .zip(calm_noop)
                .map(|(own, noop)| rounded(own / noop)),
            p50_ms: median("p50_ms", Some(&series.p50_ms)).unwrap_or_default(),
            p99_ms: median("p99_ms", Some(&series.p99_ms)).unwrap_or_default(),
            spread,
        }
    };
    scenarios.iter().zip(series).map(row).collect()
}

/// To a thousandth: nanoseconds of microseconds, microseconds of milliseconds.
fn rounded(number: f64) -> f64 {
    (number * 1e3).round() / 1e3
}

impl Report {
    /// Writes it as JSON.
    ///
    /// # Errors
    /// When that is not possible.
    pub fn write(&self, path: &Path) -> Result<(), String> {
        let fault = |error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
        let text = serde_json::to_string_pretty(self).map_err(|error| fault(&error))?;
        let folder = path.parent().unwrap_or(path);
        std::fs::create_dir_all(folder).map_err(|error| fault(&error))?;
        std::fs::write(path, text + "\n").map_err(|error| fault(&error))
    }
}

impl Meta {
    /// What this machine and this checkout say of themselves; the version is Envoy's own word.
    ///
    /// # Errors
    /// When a module was not built.
    pub fn gather(
        envoy: String,
        workers: u32,
        plan: Plan,
        scenarios: &[Scenario],
    ) -> Result<Self, String> {
        let mut module_bytes = BTreeMap::new();
        for module in scenarios.iter().flat_map(Scenario::modules) {
            let path = crate::workspace::module(module)?;
            let file = std::fs::metadata(path).map_err(|error| format!("{module}: {error}"))?;
            module_bytes.insert(module.to_owned(), file.len());
        }
        Ok(Self {
            envoy,
            cpu: cpu(),
            workers,
            rounds: plan.rounds,
            round_seconds: plan.time.as_secs_f64(),
            module_bytes,
        })
    }
}

/// The processor's name (Linux).
fn cpu() -> String {
    let text = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let mut fields = text.lines().filter_map(|line| line.split_once(':'));
    let found = fields.find(|(name, _)| name.trim() == "model name");
    found.map_or("unknown", |(_, model)| model.trim()).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::scenarios::scenarios;

    /// A scenario that costs so much in each of three rounds of a machine that gets slower.
    fn cost(us: f64) -> Series {
        let cpu_us = vec![us, us + 10.0, us + 20.0];
        Series { cpu_us, p50_ms: vec![0.1; 3], p99_ms: vec![0.2; 3], requests: 300 }
    }

    fn measured() -> Vec<Row> {
        let all = scenarios();
        let cost = |scenario: &Scenario| match scenario.name {
            NOOP => cost(12.5),
            "canary" => cost(15.0),
            "native: canary" => cost(24.0),
            // With `fault` at its end, a floor is higher, and so is what stands on it.
            name if name.ends_with("fault") => cost(20.0),
            _ => cost(10.0),
        };
        let series: Vec<Series> = all.iter().map(cost).collect();
        rows(&all, &series)
    }

    fn row(name: &str) -> Row {
        measured().into_iter().find(|row| row.scenario == name).unwrap()
    }

    #[test]
    fn what_filters_add_is_counted_from_their_own_floor() {
        assert_eq!(row("canary").cpu_us, 25.0);
        assert_eq!(row("canary").added_us, Some(5.0));
        assert_eq!(row("native: canary").added_us, Some(4.0));
        assert_eq!(row("no filter").added_us, None);
        assert_eq!((row("canary").calm_us, row("native: canary").calm_us), (Some(5.0), Some(4.0)));
        assert_eq!((row("canary").calm_vs_noop, row("no filter").calm_vs_noop), (Some(2.0), None));
    }

    #[test]
    fn filters_are_compared_by_what_they_add() {
        let canary = row("canary");
        assert_eq!((canary.added_vs_noop, canary.over_noop_us), (Some(2.0), Some(2.5)));
        assert_eq!((canary.added_vs_native, canary.over_native_us), (Some(1.25), Some(1.0)));
        assert_eq!(canary.spread.get("added_us"), Some(&[5.0, 5.0]));
    }

    #[test]
    fn what_has_no_native_twin_or_one_that_costs_nothing_has_no_multiple_of_it() {
        assert_eq!(row(NOOP).added_vs_native, None);
        let telemetry = row("telemetry");
        assert_eq!((telemetry.added_vs_native, telemetry.over_native_us), (None, Some(0.0)));
    }
}
