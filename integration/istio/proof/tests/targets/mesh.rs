//! `integration/istio/targets`: edge → waypoint → orders | stock, and a caller that goes past the waypoint.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::{SystemTime, UNIX_EPOCH};

use proof::{Answer, Bed, Connection, Fault, Place, TIMEOUT, until};
use serde_json::Value;

static UP: OnceLock<Result<(), Fault>> = OnceLock::new();
const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../..");

/// `integration/istio/targets`, up.
pub(crate) struct Mesh<'a> {
    pub(crate) place: Place<'a>,
    pub(crate) edge: String,
}

impl<'a> Mesh<'a> {
    pub(crate) fn up(bed: &'a Bed) -> Result<Self, Fault> {
        let place = bed.place("targets");
        let folder = Path::new(ROOT).join("integration/istio/targets");
        UP.get_or_init(|| place.bring_up(&folder)).clone()?;
        let edge = place.address("edge-istio")?;
        let mesh = Self { place, edge };
        mesh.settle("/orders", 200)?;
        mesh.settle("/stock", 200)?;
        Ok(mesh)
    }

    pub(crate) fn ask(&self, path: &str, headers: &[(&str, &str)]) -> Result<Answer, Fault> {
        Connection::to(&self.edge, 80).get("shop.example", path, headers)
    }

    /// Asks until twenty answers in a row have the wanted status: connections that are older than a plugin go past it
    /// until they are drained.
    pub(crate) fn settle(&self, path: &str, wanted: u16) -> Result<Answer, Fault> {
        until(&format!("{wanted} on every connection, for {path}"), || {
            let answers = (0..20).map(|_| self.ask(path, &[]));
            let answers = answers.collect::<Result<Vec<_>, Fault>>()?;
            let other = answers.iter().find(|answer| answer.status != wanted);
            other.map_or(Ok(()), |other| Err(format!("{} {}", other.status, other.body)))?;
            answers.into_iter().next().ok_or_else(String::new)
        })
    }

    /// Starts a deployment's pod anew, and waits until the old one is gone.
    pub(crate) fn renew(&self, deployment: &str) -> Result<(), Fault> {
        let name = format!("deployment/{deployment}");
        self.place.kubectl(&["rollout", "restart", &name], "")?;
        self.place.kubectl(&["rollout", "status", &name, TIMEOUT], "")?;
        let pods = ["get", "pods", "-l", &format!("app={deployment}"), "-o", "name"];
        until("the new pod alone", || {
            let pods = self.place.kubectl(&pods, "")?;
            if pods.lines().count() == 1 { Ok(()) } else { Err(pods) }
        })
    }

    /// The line about a path in the access log of a deployment's proxies.
    pub(crate) fn logged(&self, deployment: &str, path: &str) -> Result<Option<Value>, Fault> {
        let log = self.place.proxy_log(deployment)?;
        let mut lines = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        Ok(lines.find(|line| line.get("path").is_some_and(|own| own == path)))
    }

    pub(crate) fn wait_for_log(&self, deployment: &str, path: &str) -> Result<Value, Fault> {
        until(&format!("{path} in the log of {deployment}"), || {
            self.logged(deployment, path)?.ok_or_else(|| "it is not there".to_owned())
        })
    }

    pub(crate) fn manifest(&self, name: &str) -> Result<Value, Fault> {
        self.place.plugin(&manifest(name))
    }
}

/// A plugin of `istio-manifests/targets`.
pub(crate) fn manifest(name: &str) -> PathBuf {
    Path::new(ROOT).join("istio-manifests/targets").join(name)
}

/// A name that nobody has had yet: buckets outlive plugins, and logs tests.
pub(crate) fn fresh(name: &str) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    format!("{name}-{}", now.as_millis())
}
