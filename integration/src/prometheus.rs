//! A real Prometheus that scrapes an Envoy and evaluates the rules of this repository.

use std::fs::File;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};

use crate::folder::Folder;
use crate::watchdog::Watchdog;
use crate::{Client, Request, poll, workspace};

/// A running Prometheus. Killed when dropped, and when this process dies.
#[derive(Debug)]
pub struct Prometheus {
    process: Child,
    watchdog: Option<Watchdog>,
    address: SocketAddr,
    // What it writes goes when it is gone.
    _folder: Folder,
}

/// A series, as an instant query returns it.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    /// Its labels and their values.
    pub labels: Value,
    /// Its value.
    pub value: f64,
}

/// The resource that the rules are in.
///
/// # Errors
/// When it cannot be read.
pub fn rules() -> Result<Value, String> {
    let path = workspace::root().join("istio-manifests/observability/rules.yaml");
    let text = std::fs::read_to_string(path).map_err(|error| error.to_string())?;
    serde_saphyr::from_str(&text).map_err(|error| error.to_string())
}

/// Every query of the dashboard, by the title of its panel, for a range of five minutes.
///
/// # Errors
/// When it cannot be read.
pub fn dashboard() -> Result<Vec<(String, String)>, String> {
    let path = workspace::root().join("istio-manifests/observability/dashboard.json");
    let text = std::fs::read_to_string(path).map_err(|error| error.to_string())?;
    let dashboard: Value = serde_json::from_str(&text).map_err(|error| error.to_string())?;
    let text = |value: &Value, name: &str| {
        value.get(name).and_then(Value::as_str).unwrap_or_default().to_owned()
    };
    let list = |value: &Value, name: &str| {
        value.get(name).and_then(Value::as_array).cloned().unwrap_or_default()
    };
    let queries = list(&dashboard, "panels").into_iter().flat_map(|panel| {
        let title = text(&panel, "title");
        let queries = list(&panel, "targets").into_iter().map(move |each| text(&each, "expr"));
        queries.map(move |query| (title.clone(), query.replace("$__rate_interval", "5m")))
    });
    Ok(queries.collect())
}

impl Prometheus {
    /// Starts one that scrapes this admin interface every second, and evaluates the rules as often.
    ///
    /// # Errors
    /// When there is no `prometheus`, or it does not start.
    pub fn start(scraped: SocketAddr) -> Result<Self, String> {
        let folder = Folder::temporary()?;
        let rules = rules()?;
        let rules = rules.get("spec").ok_or("rules without a spec")?;
        folder.write("rules.yml", rules.to_string().as_bytes())?;
        let config = json!({
            "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
            "rule_files": ["rules.yml"],
            "scrape_configs": [{
                "job_name": "envoy",
                "metrics_path": "/stats/prometheus",
                "static_configs": [{"targets": [scraped.to_string()]}],
            }],
        });
        let config = folder.write("prometheus.yml", config.to_string().as_bytes())?;
        let address = free().map_err(|error| error.to_string())?;
        let log = File::create(folder.path().join("log")).map_err(|error| error.to_string())?;
        let mut process = Command::new("prometheus")
            .arg(format!("--config.file={}", config.display()))
            .arg(format!("--storage.tsdb.path={}", folder.path().join("data").display()))
            .arg(format!("--web.listen-address={address}"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .process_group(0)
            .spawn()
            .map_err(|error| format!("prometheus: {error}"))?;
        let watchdog = match Watchdog::over(&process, folder.path()) {
            Ok(watchdog) => Some(watchdog),
            Err(error) => {
                let _ = process.kill();
                let _ = process.wait();
                return Err(error);
            }
        };
        let started = Self { process, watchdog, address, _folder: folder };
        poll::until(poll::DEADLINE, "prometheus to be ready", || {
            started.ask("/-/ready").is_ok().then_some(())
        })?;
        Ok(started)
    }

    /// What an instant query returns now.
    ///
    /// # Errors
    /// When Prometheus does not answer, or does not take the query.
    pub fn query(&self, query: &str) -> Result<Vec<Sample>, String> {
        let answer = self.ask(&format!("/api/v1/query?query={}", escaped(query)))?;
        let answer: Value = serde_json::from_str(&answer).map_err(|error| error.to_string())?;
        let result = answer
            .pointer("/data/result")
            .and_then(Value::as_array)
            .ok_or_else(|| answer.to_string())?;
        let sample = |each: &Value| {
            let value = each.pointer("/value/1")?.as_str()?.parse().ok()?;
            Some(Sample { labels: each.get("metric")?.clone(), value })
        };
        result.iter().map(|each| sample(each).ok_or_else(|| each.to_string())).collect()
    }

    /// The sum of what a query returns; 0 of nothing.
    ///
    /// # Errors
    /// As [`Prometheus::query`].
    pub fn sum(&self, query: &str) -> Result<f64, String> {
        Ok(self.query(query)?.iter().map(|sample| sample.value).sum())
    }

    fn ask(&self, path: &str) -> Result<String, String> {
        let response = Client::new(self.address).send(&Request::get(path))?;
        let text = response.text();
        if response.status == 200 { Ok(text) } else { Err(text) }
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.process.kill();
        // Dismissed before the process is reaped: until then its id can be nobody else's.
        self.watchdog = None;
        let _ = self.process.wait();
    }
}

/// A port that nobody listens on now.
fn free() -> std::io::Result<SocketAddr> {
    TcpListener::bind("127.0.0.1:0")?.local_addr()
}

/// A query as a parameter (RFC 3986 §2.1).
fn escaped(query: &str) -> String {
    let escape = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'_' | b'-' | b'.' => {
            char::from(byte).to_string()
        }
        _ => format!("%{byte:02X}"),
    };
    query.bytes().map(escape).collect()
}
