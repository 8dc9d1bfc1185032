//! What a callee's proxy and istiod tell from a moment on: their counters and logs never start over.

use crate::callee::{Callees, Strategy};
use crate::{Fault, until};

/// A moment, and a callee.
pub struct Watch<'a> {
    callees: &'a Callees<'a>,
    strategy: Strategy,
    log: usize,
    stats: String,
    istiod: String,
}

impl<'a> Watch<'a> {
    /// From now on.
    ///
    /// # Errors
    /// When the proxy or istiod does not answer.
    pub fn start(callees: &'a Callees<'a>, strategy: Strategy) -> Result<Self, Fault> {
        Ok(Self {
            callees,
            strategy,
            log: callees.log(strategy)?.len(),
            stats: callees.stats(strategy)?,
            istiod: callees.istiod()?,
        })
    }

    /// A watch on each callee.
    ///
    /// # Errors
    /// As [`Watch::start`].
    pub fn all(callees: &'a Callees<'a>) -> Result<Vec<Self>, Fault> {
        Strategy::ALL.into_iter().map(|strategy| Self::start(callees, strategy)).collect()
    }

    /// The callee.
    #[must_use]
    pub const fn strategy(&self) -> Strategy {
        self.strategy
    }

    /// What its agent and proxy have logged since.
    ///
    /// # Errors
    /// When that cannot be read.
    pub fn log(&self) -> Result<String, Fault> {
        let log = self.callees.log(self.strategy)?;
        log.get(self.log..).map(str::to_owned).ok_or_else(|| "the log was cut".to_owned())
    }

    /// Waits for a line, access log or other, that has all of these words.
    ///
    /// # Errors
    /// When none comes: with what came.
    pub fn wait_line(&self, words: &[&str]) -> Result<String, Fault> {
        until(&format!("{words:?} in the log of {}", self.strategy.callee()), || {
            let log = self.log()?;
            let line = log.lines().find(|line| words.iter().all(|word| line.contains(word)));
            line.map(str::to_owned).ok_or(log)
        })
    }

    /// By how much a sum of the agent's and the proxy's counters has grown.
    ///
    /// # Errors
    /// When they do not answer.
    pub fn grown(&self, name: &str, label: &str) -> Result<f64, Fault> {
        Ok(sum(&self.callees.stats(self.strategy)?, name, label) - sum(&self.stats, name, label))
    }

    /// By how much a sum of istiod's counters has grown.
    ///
    /// # Errors
    /// When it does not answer.
    pub fn grown_in_istiod(&self, name: &str, label: &str) -> Result<f64, Fault> {
        Ok(sum(&self.callees.istiod()?, name, label) - sum(&self.istiod, name, label))
    }

    /// By how much Envoy's counter of this callee's plugin has grown that ends so. Istio keeps these from being made,
    /// unless `proxyStatsMatcher` asks for `extension_config_discovery`.
    ///
    /// # Errors
    /// When the proxy does not answer.
    pub fn grown_discovery(&self, end: &str) -> Result<f64, Fault> {
        let plugin = format!("failures_{}_istio_translated_wasmplugin", self.strategy.callee());
        let name = format!(
            "envoy_extension_config_discovery_http_filter_extensions_istio_io_trafficextension_{plugin}_{end}"
        );
        self.grown(&name, "")
    }

    /// Whether the pod is still there, and ready.
    ///
    /// # Errors
    /// With what kubectl said.
    pub fn still_ready(&self) -> Result<bool, Fault> {
        self.callees.still_ready(self.strategy)
    }
}

/// The sum of a metric's samples that have this in their labels.
fn sum(text: &str, name: &str, label: &str) -> f64 {
    text.lines()
        .filter_map(|line| line.strip_prefix(name)?.rsplit_once(' '))
        .filter(|(labels, _)| {
            (labels.is_empty() || labels.starts_with('{')) && labels.contains(label)
        })
        .filter_map(|(_, value)| value.parse::<f64>().ok())
        .sum()
}
