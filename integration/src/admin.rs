//! What Envoy tells of itself.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use serde_json::Value;

use crate::{Client, Request};

/// Envoy's admin interface.
#[derive(Clone, Debug)]
pub struct Admin {
    address: SocketAddr,
}

impl Admin {
    /// The admin interface at an address.
    #[must_use]
    pub fn at(address: SocketAddr) -> Self {
        Self { address }
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Whether Envoy is ready to serve.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.text("/ready").is_ok()
    }

    /// Where a listener listens.
    ///
    /// # Errors
    /// When there is none of that name, or it listens on no port.
    pub fn listener(&self, name: &str) -> Result<SocketAddr, String> {
        let text = self.text("/listeners?format=json")?;
        let listeners: Value = serde_json::from_str(&text).map_err(|error| error.to_string())?;
        let address = listeners
            .pointer("/listener_statuses")
            .and_then(Value::as_array)
            .and_then(|statuses| {
                statuses.iter().find(|status| status.get("name").is_some_and(|found| found == name))
            })
            .and_then(|status| status.pointer("/local_address/socket_address"))
            .ok_or_else(|| format!("no listener `{name}` with a port in {text}"))?;
        let part = |name| {
            address.get(name).map(|part| part.as_str().map_or(part.to_string(), str::to_owned))
        };
        let address = part("address").zip(part("port_value"));
        let (ip, port) = address.ok_or_else(|| format!("no address in {text}"))?;
        format!("{ip}:{port}").parse().map_err(|_| format!("`{ip}:{port}` is no address"))
    }

    /// Every counter and gauge by its full name, of those whose name contains `filter`.
    ///
    /// # Errors
    /// When the admin interface does not answer.
    pub fn stats(&self, filter: &str) -> Result<BTreeMap<String, u64>, String> {
        let text = self.text("/stats")?;
        let number = |line: &str| {
            let (name, value) = line.rsplit_once(": ")?;
            Some((name.to_owned(), value.parse().ok()?))
        };
        Ok(text.lines().filter(|line| line.contains(filter)).filter_map(number).collect())
    }

    /// How many bytes Envoy has allocated now. (The gauge of that name is of the last flush.)
    ///
    /// # Errors
    /// When the admin interface does not answer.
    pub fn memory(&self) -> Result<u64, String> {
        let text = self.text("/memory")?;
        let memory: Value = serde_json::from_str(&text).map_err(|error| error.to_string())?;
        let allocated = memory.get("allocated").and_then(Value::as_str);
        let bytes = allocated.and_then(|bytes| bytes.parse().ok());
        bytes.ok_or_else(|| format!("no `allocated` in {text}"))
    }

    /// The metrics as Prometheus reads them.
    ///
    /// # Errors
    /// When the admin interface does not answer.
    pub fn prometheus(&self) -> Result<String, String> {
        self.text("/stats/prometheus")
    }

    /// The sum of all series of one metric that have these labels, as Prometheus reads them.
    ///
    /// # Errors
    /// When the admin interface does not answer.
    pub fn metric(&self, name: &str, labels: &[(&str, &str)]) -> Result<u64, String> {
        let wanted: Vec<String> =
            labels.iter().map(|(label, value)| format!("{label}=\"{value}\"")).collect();
        let prefix = format!("{name}{{");
        let text = self.prometheus()?;
        let values = text
            .lines()
            .filter(|line| line.starts_with(&prefix))
            .filter(|line| wanted.iter().all(|label| line.contains(label.as_str())))
            .filter_map(|line| line.rsplit_once(' ')?.1.parse::<u64>().ok());
        Ok(values.sum())
    }

    fn text(&self, path: &str) -> Result<String, String> {
        let mut request = Request::get(path);
        request.host = "admin".to_owned();
        let response = Client::new(self.address).send(&request)?;
        match response.status {
            200 => Ok(response.text()),
            status => Err(format!("{path}: {status} {}", response.text())),
        }
    }
}
