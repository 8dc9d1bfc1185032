//! Where plugins are broken on purpose: `integration/istio/failures`, a gateway and behind it a callee for each strategy,
//! so that one plugin's failure is seen under all of them at once.

use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use crate::{Answer, Bed, Connection, DEPLOYED, Fault, until};

/// The namespace of the callees.
pub const FAILURES: &str = "failures";

/// What a plugin is to do when it fails: WasmPlugin's `failStrategy`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Strategy {
    /// Requests fail.
    Close,
    /// Requests pass it by.
    Open,
    /// As `Close`, with a fresh VM after a crash.
    Reload,
}

impl Strategy {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Close, Self::Open, Self::Reload];

    /// The callee's name.
    #[must_use]
    pub const fn callee(self) -> &'static str {
        match self {
            Self::Close => "close",
            Self::Open => "open",
            Self::Reload => "reload",
        }
    }

    /// As the manifest says it.
    #[must_use]
    pub const fn field(self) -> &'static str {
        match self {
            Self::Close => "FAIL_CLOSE",
            Self::Open => "FAIL_OPEN",
            Self::Reload => "FAIL_RELOAD",
        }
    }
}

/// The callees, with no plugins but a test's own.
pub struct Callees<'a> {
    bed: &'a Bed,
    gateway: String,
    istiod: String,
    pods: Vec<Value>,
}

impl<'a> Callees<'a> {
    /// Brings them up, with new pods and without a plugin.
    ///
    /// # Errors
    /// When they do not come up.
    pub fn new(bed: &'a Bed) -> Result<Self, Fault> {
        let read = |name: &str| {
            let path = format!(concat!(env!("CARGO_MANIFEST_DIR"), "/../failures/{}"), name);
            std::fs::read_to_string(&path).map_err(|error| format!("{path}: {error}"))
        };
        let mut all = read("mesh.yaml")?;
        for strategy in Strategy::ALL {
            all += &format!("---\n{}", read("callee.yaml")?.replace("CALLEE", strategy.callee()));
        }
        bed.run("kubectl", &["apply", "-f", "-"], &all)?;
        let of = |namespace, kind, label, path| {
            bed.run("kubectl", &["-n", namespace, "get", kind, "-l", label, "-o", path], "")
        };
        let mut callees = Self {
            bed,
            gateway: of(
                FAILURES,
                "services",
                "app=gateway",
                "jsonpath={.items[0].spec.clusterIP}",
            )?,
            istiod: of("istio-system", "pods", "app=istiod", "jsonpath={.items[0].status.podIP}")?,
            pods: Vec::new(),
        };
        callees.kubectl(&DEPLOYED)?;
        // A proxy that had a plugin of the same name remembers its last configuration while old connections drain.
        callees.remove()?;
        callees.restart()?;
        for strategy in Strategy::ALL {
            callees.settle(strategy, 200)?;
        }
        Ok(callees)
    }

    /// `kubectl`, in the callees' namespace.
    ///
    /// # Errors
    /// With what it said.
    pub fn kubectl(&self, arguments: &[&str]) -> Result<String, Fault> {
        self.bed.run("kubectl", &[&["-n", FAILURES], arguments].concat(), "")
    }

    /// Gives a callee its plugin, or changes it. `spec` goes over what plugins here have in common.
    ///
    /// # Errors
    /// When the API server, or Istio's webhook behind it, refuses it.
    pub fn apply(&self, strategy: Strategy, spec: &Value) -> Result<(), Fault> {
        let name = strategy.callee();
        let mut plugin = json!({
            "apiVersion": "extensions.istio.io/v1alpha1",
            "kind": "WasmPlugin",
            "metadata": { "name": name, "namespace": FAILURES },
            "spec": {
                "selector": { "matchLabels": { "app": name } }, "match": [{ "mode": "SERVER" }],
                "phase": "AUTHZ", "priority": 100, "failStrategy": strategy.field(),
            },
        });
        if let (Some(all), Some(more)) =
            (plugin.get_mut("spec").and_then(Value::as_object_mut), spec.as_object())
        {
            all.extend(more.clone());
        }
        self.bed.run("kubectl", &["apply", "-f", "-"], &plugin.to_string()).map(drop)
    }

    /// Gives every callee the same plugin.
    ///
    /// # Errors
    /// As [`Callees::apply`].
    pub fn apply_all(&self, spec: &Value) -> Result<(), Fault> {
        Strategy::ALL.into_iter().try_for_each(|strategy| self.apply(strategy, spec))
    }

    /// Changes nothing of the plugins and has them sent once more.
    ///
    /// # Errors
    /// With what kubectl said.
    pub fn touch(&self) -> Result<(), Fault> {
        let now =
            SystemTime::now().duration_since(UNIX_EPOCH).map_err(|error| error.to_string())?;
        let now = format!("failures/touched={}", now.as_nanos());
        self.kubectl(&["annotate", "--overwrite", "wasmplugins", "--all", &now]).map(drop)
    }

    /// Lets nobody ask a callee any more, by Istio's own means.
    ///
    /// # Errors
    /// With what kubectl said.
    pub fn forbid(&self) -> Result<(), Fault> {
        let policy = json!({
            "apiVersion": "security.istio.io/v1", "kind": "AuthorizationPolicy",
            "metadata": { "name": "nobody", "namespace": FAILURES },
            "spec": { "selector": { "matchLabels": { "version": "v1" } }, "action": "DENY", "rules": [{}] },
        });
        self.bed.run("kubectl", &["apply", "-f", "-"], &policy.to_string()).map(drop)
    }

    /// Takes the plugins away, and what [`Callees::forbid`] made.
    ///
    /// # Errors
    /// With what kubectl said.
    pub fn remove(&self) -> Result<(), Fault> {
        self.kubectl(&["delete", "wasmplugins,authorizationpolicies", "--all"]).map(drop)
    }

    /// Replaces the callees' pods, and waits for the new ones to be ready.
    ///
    /// # Errors
    /// When they are not in time.
    pub fn restart(&mut self) -> Result<(), Fault> {
        self.kubectl(&["delete", "pods", "-l", "app in (close, open, reload)", "--wait=false"])?;
        let uid = |pod: &Value| pod.pointer("/metadata/uid").cloned();
        let old: Vec<_> = self.pods.iter().map(uid).collect();
        self.pods = until("new pods", || {
            let mut pods = self.get_pods()?;
            pods.retain(|pod| {
                let leaving = pod.pointer("/metadata/deletionTimestamp").is_some();
                !leaving && is_ready(pod) && !old.contains(&uid(pod))
            });
            if pods.len() == Strategy::ALL.len() {
                Ok(pods)
            } else {
                Err(format!("{}", pods.len()))
            }
        })?;
        Ok(())
    }

    /// The name of a callee's pod.
    ///
    /// # Errors
    /// When there is none.
    pub fn pod(&self, strategy: Strategy) -> Result<&str, Fault> {
        self.of_pod(strategy, "/metadata/name")
    }

    /// Whether a callee still has its pod, and the pod is ready, as `kubectl get pods` has it.
    ///
    /// # Errors
    /// With what kubectl said.
    pub fn still_ready(&self, strategy: Strategy) -> Result<bool, Fault> {
        let name = self.pod(strategy)?;
        let is_it = |pod: &Value| pod.pointer("/metadata/name") == Some(&json!(name));
        Ok(self.get_pods()?.iter().any(|pod| is_it(pod) && is_ready(pod)))
    }

    fn get_pods(&self) -> Result<Vec<Value>, Fault> {
        let callees = ["get", "pods", "-l", "app in (close, open, reload)", "-o", "json"];
        let mut said: Value =
            serde_json::from_str(&self.kubectl(&callees)?).map_err(|error| error.to_string())?;
        match said.get_mut("items").map(Value::take) {
            Some(Value::Array(pods)) => Ok(pods),
            _ => Err(said.to_string()),
        }
    }

    fn of_pod(&self, strategy: Strategy, pointer: &str) -> Result<&str, Fault> {
        let is_it =
            |pod: &&Value| pod.pointer("/metadata/labels/app") == Some(&json!(strategy.callee()));
        let pod = self.pods.iter().find(is_it);
        pod.and_then(|pod| pod.pointer(pointer)?.as_str())
            .ok_or_else(|| format!("no pod of {}", strategy.callee()))
    }

    /// A request to a callee, by the gateway.
    ///
    /// # Errors
    /// When no answer comes.
    pub fn ask(
        &self,
        strategy: Strategy,
        path: &str,
        headers: &[(&str, &str)],
    ) -> Result<Answer, Fault> {
        let host = format!("{}.example", strategy.callee());
        Connection::to(&self.gateway, 80).get(&host, path, headers)
    }

    /// Asks a callee until it answers so twenty times in a row; gives the last answer. Connections of the gateway that
    /// are older than a plugin, or younger than it was taken away, go on as they were for one more request.
    ///
    /// # Errors
    /// When it never does: with the last answer.
    pub fn settle(&self, strategy: Strategy, status: u16) -> Result<Answer, Fault> {
        until(&format!("{status} from {}", strategy.callee()), || {
            let mut last = Err("nothing was asked".to_owned());
            for _ in 0..20 {
                let answer = self.ask(strategy, "/", &[])?;
                if answer.status != status {
                    return Err(format!("{} {}", answer.status, answer.body));
                }
                last = Ok(answer);
            }
            last
        })
    }

    /// All that a callee's agent and proxy have logged.
    ///
    /// # Errors
    /// With what kubectl said.
    pub fn log(&self, strategy: Strategy) -> Result<String, Fault> {
        self.kubectl(&["logs", self.pod(strategy)?, "-c", "istio-proxy"])
    }

    /// What a callee's agent and proxy count, as Prometheus reads it.
    ///
    /// # Errors
    /// When they do not answer.
    pub fn stats(&self, strategy: Strategy) -> Result<String, Fault> {
        let address = self.of_pod(strategy, "/status/podIP")?;
        Ok(Connection::to(address, 15020).get("agent", "/stats/prometheus", &[])?.body)
    }

    /// What istiod counts, as Prometheus reads it.
    ///
    /// # Errors
    /// When it does not answer.
    pub fn istiod(&self) -> Result<String, Fault> {
        Ok(Connection::to(&self.istiod, 15014).get("istiod", "/metrics", &[])?.body)
    }
}

fn is_ready(pod: &Value) -> bool {
    let conditions = pod.pointer("/status/conditions").and_then(Value::as_array);
    let is = |condition: &Value, field, value| condition.get(field) == Some(&json!(value));
    conditions
        .into_iter()
        .flatten()
        .any(|condition| is(condition, "type", "Ready") && is(condition, "status", "True"))
}

impl Drop for Callees<'_> {
    fn drop(&mut self) {
        if let Err(fault) = self.remove() {
            eprintln!("{fault}");
        }
    }
}
