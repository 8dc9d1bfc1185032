//! `make bench`: what each filter costs, beside nothing, beside a filter that does nothing, and beside Envoy's own.
//!
//! `ROUNDS` and `ROUND_SECONDS` change how long it measures; `BENCH=ratelimit` measures only scenarios of that name, and
//! what they are compared with; `WORKERS=2` gives Envoy so many workers instead of one. The table is also left in `target/bench/report.json`.

use std::process::ExitCode;
use std::str::FromStr;
use std::time::Duration;

use integration::bench::listeners::bootstrap;
use integration::bench::report::{Meta, Report, rows};
use integration::bench::rounds::{Plan, measure};
use integration::bench::scenarios::{only, scenarios};
use integration::{Client, Envoy, Request, workspace};

fn main() -> ExitCode {
    match bench() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench: {error}");
            ExitCode::FAILURE
        }
    }
}

fn bench() -> Result<(), String> {
    let rounds = variable("ROUNDS", 40, |rounds| *rounds > 0)?;
    let seconds = variable("ROUND_SECONDS", 0.15, |seconds| (0.01..=60.0).contains(seconds))?;
    let plan = Plan { rounds, time: Duration::from_secs_f64(seconds) };
    let workers = variable("WORKERS", 1, |workers| (1..=64).contains(workers))?;
    let scenarios = match std::env::var("BENCH") {
        Ok(text) => only(&text, scenarios()),
        Err(_) => scenarios(),
    };
    let envoy = Envoy::start(&bootstrap(&scenarios)?, workers)?;
    eprintln!("bench: {} scenarios, {rounds} rounds of {seconds} s each", scenarios.len());
    let series = measure(&envoy, &scenarios, plan)?;
    let meta = Meta::gather(version(&envoy)?, workers, plan, &scenarios)?;
    let report = Report { meta, rows: rows(&scenarios, &series) };
    print!("{report}");
    report.write(&workspace::root().join("target/bench/report.json"))
}

/// The number that a variable asks for, or else the usual one.
fn variable<T: FromStr>(name: &str, usual: T, fits: impl Fn(&T) -> bool) -> Result<T, String> {
    match std::env::var(name) {
        Err(std::env::VarError::NotPresent) => Ok(usual),
        Err(error) => Err(format!("{name}: {error}")),
        Ok(text) => {
            let number = text.parse().ok().filter(fits);
            number.ok_or_else(|| format!("{name}={text}: not a number that makes sense here"))
        }
    }
}

/// Envoy's own word for its version, of which `1.40.0` is the second part.
fn version(envoy: &Envoy) -> Result<String, String> {
    let response = Client::new(envoy.admin().address()).send(&Request::get("/server_info"))?;
    let info: serde_json::Value =
        serde_json::from_slice(&response.body).map_err(|error| error.to_string())?;
    let version = info.get("version").and_then(serde_json::Value::as_str);
    version
        .and_then(|version| version.split('/').nth(1))
        .map(str::to_owned)
        .ok_or_else(|| format!("no version in {info}"))
}
