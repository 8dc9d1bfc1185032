//! What a proxy must be told of a plugin's metrics, out of the plugin's configuration: which labels to cut out of the names
//! of its stats, and the buckets of its histograms.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use authz::Authz;
use canary::Canary;
use filter_core::{Filter, Invalid, Metrics};
use ratelimit::RateLimit;
use suite::Suite;
use telemetry::Telemetry;

use crate::check::FilterName;
use crate::document;

/// For whom it is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// `stats_config` of Envoy's bootstrap.
    Bootstrap,
    /// Annotations of a pod, from which Istio makes its proxy's bootstrap.
    Istio,
}

/// A filter, and the file that its configuration is in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Source {
    pub(crate) filter: FilterName,
    pub(crate) file: PathBuf,
}

/// What several plugins of one proxy need.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Needs {
    /// Labels, each once.
    labels: Vec<&'static str>,
    /// Histograms by name, and the upper bounds of their buckets.
    buckets: Vec<(String, &'static [u64])>,
}

impl Needs {
    /// What a filter needs with this configuration, besides what others do. Fails with the line that the module would log.
    pub(crate) fn add(
        &mut self,
        filter: FilterName,
        file: &Path,
        text: &[u8],
    ) -> Result<(), String> {
        let metrics = document::json(file, text).and_then(|document| match filter {
            FilterName::Authz => declared::<Authz>(&document),
            FilterName::Canary => declared::<Canary>(&document),
            FilterName::Ratelimit => declared::<RateLimit>(&document),
            FilterName::Telemetry => declared::<Telemetry>(&document),
            FilterName::Suite => declared::<Suite>(&document),
        });
        let metrics = metrics
            .map_err(|invalid| format!("{}: configuration refused {invalid}", filter.as_str()))?;
        for label in metrics.labels() {
            if !self.labels.contains(&label) {
                self.labels.push(label);
            }
        }
        for (name, buckets) in metrics.buckets() {
            if self.buckets.iter().all(|(other, _)| other != name) {
                self.buckets.push((name.to_owned(), buckets));
            }
        }
        Ok(())
    }

    /// The text to paste.
    pub(crate) fn render(&self, form: Form) -> String {
        match form {
            Form::Bootstrap => self.bootstrap(),
            Form::Istio => self.istio(),
        }
    }

    fn bootstrap(&self) -> String {
        let mut text = String::from("stats_config:\n");
        text.push_str(if self.labels.is_empty() {
            "  stats_tags: []\n"
        } else {
            "  stats_tags:\n"
        });
        for label in &self.labels {
            // What group 1 matches leaves the name, what group 2 matches is the value. A label begins after `.` or `;`,
            // and no value holds `;` or `=`, so that none can match inside another label or inside a value.
            let regex = format!(r"^wasmcustom\..*([.;]{label}=\.=([^;]*);\.;)");
            let _ = writeln!(text, "  - {{tag_name: {label}, regex: '{regex}'}}");
        }
        if !self.buckets.is_empty() {
            text.push_str("  histogram_bucket_settings:\n");
        }
        for (name, buckets) in &self.buckets {
            let _ = writeln!(text, "  - match: {{prefix: wasmcustom.{name}}}");
            let _ = writeln!(text, "    buckets: {buckets:?}");
        }
        text
    }

    fn istio(&self) -> String {
        let mut text = String::from(
            "# Annotations of a pod: of `template.metadata` in a Deployment. For all proxies of a mesh, what is under\n\
             # `proxy.istio.io/config` is part of `meshConfig.defaultConfig`. They are read when a pod starts.\n\
             # A pod's list takes the place of the mesh's: render all plugins of the pod at once.\n\
             metadata:\n  annotations:\n",
        );
        // Istio's statistics pass all that begins with `wasm` already, so that `proxyStatsMatcher` need not say so.
        text.push_str("    proxy.istio.io/config: |\n");
        text.push_str(if self.labels.is_empty() { "      {}\n" } else { "      extraStatTags:\n" });
        for label in &self.labels {
            let _ = writeln!(text, "      - {label}");
        }
        if !self.buckets.is_empty() {
            let all: Vec<String> = self
                .buckets
                .iter()
                .map(|(name, buckets)| {
                    let bounds: Vec<String> = buckets.iter().map(u64::to_string).collect();
                    format!("\"wasmcustom.{name}\":[{}]", bounds.join(","))
                })
                .collect();
            let all = all.join(",");
            let _ = writeln!(text, "    sidecar.istio.io/statsHistogramBuckets: '{{{all}}}'");
        }
        text
    }
}

fn declared<F: Filter>(document: &[u8]) -> Result<Metrics, Invalid> {
    let mut metrics = Metrics::default();
    F::configure(document, &mut metrics)?;
    Ok(metrics)
}

#[cfg(test)]
mod tests;
