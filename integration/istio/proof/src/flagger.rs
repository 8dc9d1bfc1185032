//! Flagger from its own manifests, and the Prometheus that it asks.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::{Applied, Bed, Fault, TIMEOUT};

/// Both, running; deleted when dropped.
pub struct Flagger<'a> {
    bed: &'a Bed,
    /// What Prometheus reads of whom to scrape.
    targets: PathBuf,
    _applied: [Applied<'a>; 3],
}

impl Bed {
    /// Brings them up.
    ///
    /// # Errors
    /// When they do not come.
    pub fn flagger(&self) -> Result<Flagger<'_>, Fault> {
        let own = |file| read(&self.state.join("flagger").join(file));
        let prometheus =
            Path::new(env!("CARGO_MANIFEST_DIR")).join("../prometheus/prometheus.yaml");
        let applied = [
            self.apply_anywhere(&read(&prometheus)?)?,
            self.apply_anywhere(&own("account.yaml")?)?,
            self.apply_anywhere(&own("deployment.yaml")?)?,
        ];
        for [namespace, deployment] in
            [["istio-system", "deployment/prometheus"], ["default", "deployment/flagger"]]
        {
            let status = ["-n", namespace, "rollout", "status", deployment, TIMEOUT];
            self.run("kubectl", &status, "")?;
        }
        // One of a run before may still be ending.
        let pods = self.pods_with(&["-n", "istio-system", "-l", "app=prometheus"])?;
        let lives = |pod: &&Value| pod.pointer("/metadata/deletionTimestamp").is_none();
        let pod = pods.iter().find(lives).and_then(|pod| pod.pointer("/metadata/name")?.as_str());
        let pod = pod.ok_or("Prometheus has no pod")?;
        let folder = self.state.join("pods").join(format!("istio-system_{pod}"));
        Ok(Flagger { bed: self, targets: folder.join("volumes/targets"), _applied: applied })
    }

    fn pods_with(&self, which: &[&str]) -> Result<Vec<Value>, Fault> {
        let get = [&["get", "pods", "-o", "json"], which].concat();
        let pods: Value = serde_json::from_str(&self.run("kubectl", &get, "")?)
            .map_err(|error| error.to_string())?;
        Ok(pods.get("items").and_then(Value::as_array).cloned().unwrap_or_default())
    }
}

impl Flagger<'_> {
    /// Tells Prometheus which pods of the namespaces there are to scrape now, by the annotations that Istio's injector
    /// gave them.
    ///
    /// # Errors
    /// When they cannot be asked for, or the file cannot be written.
    pub fn discover(&self, namespaces: &[&str]) -> Result<(), Fault> {
        let pods = self.bed.pods_with(&["--all-namespaces"])?;
        let all: Vec<Value> = pods.iter().filter_map(|pod| target(namespaces, pod)).collect();
        let fault = |error: std::io::Error| format!("{}: {error}", self.targets.display());
        let fresh = self.targets.join("targets.fresh");
        std::fs::write(&fresh, Value::from(all).to_string()).map_err(fault)?;
        std::fs::rename(fresh, self.targets.join("targets.json")).map_err(fault)
    }
}

/// As Istio's addon would have a pod of these namespaces scraped; nothing as long as it has no address.
fn target(namespaces: &[&str], pod: &Value) -> Option<Value> {
    let text = |path: &str| pod.pointer(path).and_then(Value::as_str);
    let namespace = text("/metadata/namespace").filter(|own| namespaces.contains(own))?;
    let annotation = |name: &str| text(&format!("/metadata/annotations/prometheus.io~1{name}"));
    (annotation("scrape")? == "true").then_some(())?;
    Some(json!({
        "targets": [format!("{}:{}", text("/status/podIP")?, annotation("port")?)],
        "labels": {
            "__metrics_path__": annotation("path")?,
            "namespace": namespace,
            "pod": text("/metadata/name")?,
        },
    }))
}

fn read(path: &Path) -> Result<String, Fault> {
    std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))
}
