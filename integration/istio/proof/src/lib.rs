//! The bed as a test sees it: `tools/istio-test` brings it up and says in the environment where it is.

use std::env::var;
use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

mod applied;
mod callee;
mod flagger;
mod foreign;
mod http;
mod image;
mod load;
mod place;
mod plugin;
mod schemas;
mod scratch;
mod series;
mod shipped;
mod signature;
mod watch;

pub use applied::Applied;
pub use callee::{Callees, FAILURES, Strategy};
pub use flagger::Flagger;
pub use http::{Answer, Begun, Connection};
pub use image::Image;
pub use load::{Answers, under_load};
pub use place::{Place, Placed};
pub use plugin::as_traffic_extension;
pub use scratch::Scratch;
pub use series::Series;
pub use shipped::Shipped;
pub use signature::KeyPair;
pub use watch::Watch;

/// What anything here fails with: a sentence.
pub type Fault = String;

/// How long anything may take before it counts as failed. Generous: a busy machine is slow, not broken.
pub const DEADLINE: Duration = Duration::from_secs(240);
/// The same, as kubectl is told.
pub const TIMEOUT: &str = "--timeout=240s";
/// What has kubectl wait until all deployments of a namespace answer.
pub(crate) const DEPLOYED: [&str; 5] =
    ["wait", "--for=condition=Available", "deployments", "--all", TIMEOUT];

/// The namespace that the demo mesh lives in.
pub const NAMESPACE: &str = "demo";

/// Looks until `look` finds something.
///
/// # Errors
/// When it does not come in time: what was missing, and what was seen last.
pub fn until<T>(what: &str, mut look: impl FnMut() -> Result<T, Fault>) -> Result<T, Fault> {
    let begin = Instant::now();
    loop {
        match look() {
            Ok(found) => return Ok(found),
            Err(seen) if begin.elapsed() > DEADLINE => {
                return Err(format!("waited {} s for {what}; last: {seen}", DEADLINE.as_secs()));
            }
            Err(_) => std::thread::sleep(Duration::from_millis(100)),
        }
    }
}

/// The running bed.
pub struct Bed {
    state: PathBuf,
    registry: String,
    registry_name: String,
    modules: PathBuf,
}

impl Bed {
    /// The one that `tools/istio-test` made.
    ///
    /// # Errors
    /// When there is none.
    pub fn connect() -> Result<Self, Fault> {
        let known =
            |name: &str| var(name).map_err(|_| format!("{name} is not set: run make istio-test"));
        Ok(Self {
            state: known("BED_STATE")?.into(),
            registry: known("BED_REGISTRY")?,
            registry_name: known("BED_REGISTRY_NAME")?,
            modules: known("BED_MODULES")?.into(),
        })
    }

    /// Runs a program with this on its standard input, and gives what it says.
    ///
    /// # Errors
    /// When it cannot be run or fails: with what it said.
    pub fn run(&self, program: &str, arguments: &[&str], input: &str) -> Result<String, Fault> {
        let mut child = Command::new(program)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|error| format!("{program}: {error}"))?;
        if let Some(mut stdin) = child.stdin.take() {
            stdin.write_all(input.as_bytes()).map_err(|error| format!("{program}: {error}"))?;
        }
        let output = child.wait_with_output().map_err(|error| format!("{program}: {error}"))?;
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        if output.status.success() {
            return Ok(said);
        }
        let complaint = String::from_utf8_lossy(&output.stderr);
        Err(format!("{program} {}: {}{said}", arguments.join(" "), complaint.trim()))
    }

    /// `kubectl`, in the demo's namespace.
    ///
    /// # Errors
    /// With what it said.
    pub fn kubectl(&self, arguments: &[&str]) -> Result<String, Fault> {
        self.run("kubectl", &[&["-n", NAMESPACE], arguments].concat(), "")
    }

    /// A WasmPlugin with a filter's module, and what else its `spec` says.
    ///
    /// # Errors
    /// When the module cannot be pushed.
    pub fn plugin(&self, filter: &str, app: &str, spec: Value) -> Result<Value, Fault> {
        let image = self.push(filter)?;
        let mut plugin = json!({
            "apiVersion": "extensions.istio.io/v1alpha1",
            "kind": "WasmPlugin",
            "metadata": { "name": format!("outrigger-{filter}"), "namespace": NAMESPACE },
            "spec": { "selector": { "matchLabels": { "app": app } }, "url": image.url, "priority": 100 },
        });
        if let (Some(all), Value::Object(more)) =
            (plugin.get_mut("spec").and_then(Value::as_object_mut), spec)
        {
            all.extend(more);
        }
        Ok(plugin)
    }

    /// Where the shop is asked, from outside of the mesh: the gateway's address.
    ///
    /// # Errors
    /// When there is no gateway.
    pub fn gateway(&self) -> Result<String, Fault> {
        self.kubectl(&["get", "service", "gateway", "-o", "jsonpath={.spec.clusterIP}"])
    }

    /// A request to the shop, by the gateway.
    ///
    /// # Errors
    /// When no answer comes.
    pub fn get(&self, path: &str, headers: &[(&str, &str)]) -> Result<Answer, Fault> {
        Connection::to(&self.gateway()?, 80).get("shop.example", path, headers)
    }

    /// Asks the shop until the answer is as wanted: a plugin takes a moment from the API server to the proxies.
    ///
    /// # Errors
    /// When it never is: with the last answer.
    pub fn wait_for(
        &self,
        path: &str,
        headers: &[(&str, &str)],
        wanted: impl Fn(&Answer) -> bool,
    ) -> Result<Answer, Fault> {
        until(&format!("the right answer to {path}"), || {
            let answer = self.get(path, headers)?;
            if wanted(&answer) {
                Ok(answer)
            } else {
                Err(format!("{} {}", answer.status, answer.body))
            }
        })
    }

    /// Asks the shop until it refuses on every connection.
    ///
    /// # Errors
    /// When it never does: with the last answer.
    pub fn settle(&self, path: &str, refusal: u16) -> Result<Answer, Fault> {
        self.settle_on(path, &[], |answer| answer.status == refusal)
    }

    /// Asks the shop until twenty answers in a row are as wanted. Each worker takes over a plugin on its own, and
    /// connections to the next proxy that are older than the plugin go past it until they are drained, which each is
    /// after one more request.
    ///
    /// # Errors
    /// When they never are: with the last one that was not.
    pub fn settle_on(
        &self,
        path: &str,
        headers: &[(&str, &str)],
        wanted: impl Fn(&Answer) -> bool,
    ) -> Result<Answer, Fault> {
        until(&format!("the right answer to {path} on every connection"), || {
            let mut last = Err("no answer".to_owned());
            for _ in 0..20 {
                let answer = self.get(path, headers)?;
                if !wanted(&answer) {
                    return Err(format!("{} {}", answer.status, answer.body));
                }
                last = Ok(answer);
            }
            last
        })
    }

    /// A request to a pod of an application, from outside of the mesh.
    ///
    /// # Errors
    /// When no answer comes.
    pub fn get_pod(&self, app: &str, path: &str) -> Result<Answer, Fault> {
        let first =
            ["get", "pods", "-l", &format!("app={app}"), "-o", "jsonpath={.items[0].status.podIP}"];
        Connection::to(&self.kubectl(&first)?, 8080).get(app, path, &[])
    }

    /// The names of an application's pods.
    ///
    /// # Errors
    /// With what kubectl said.
    pub fn pods(&self, app: &str) -> Result<Vec<String>, Fault> {
        let label = format!("app={app}");
        let names = ["get", "pods", "-l", &label, "-o", "jsonpath={.items[*].metadata.name}"];
        Ok(self.kubectl(&names)?.split_whitespace().map(str::to_owned).collect())
    }

    /// What the proxies of an application's pods have logged, all together.
    ///
    /// # Errors
    /// When that cannot be read.
    pub fn proxy_log(&self, app: &str) -> Result<String, Fault> {
        let mut all = String::new();
        for pod in self.pods(app)? {
            all += &self.kubectl(&["logs", &pod, "-c", "istio-proxy"])?;
        }
        Ok(all)
    }

    /// Waits until every proxy of an application runs this very image and this word is in its configuration.
    ///
    /// # Errors
    /// When one never does: with what it runs instead.
    pub fn wait_loaded(&self, app: &str, image: &Image, word: &str) -> Result<(), Fault> {
        for pod in self.pods(app)? {
            until(&format!("{} and {word:?} in {pod}", image.digest), || {
                let arguments = ["-n", NAMESPACE, "proxy-config", "ecds", &pod, "-o", "json"];
                let loaded = self.run("istioctl", &arguments, "")?;
                let there = loaded.contains(&image.digest) && loaded.contains(word);
                if there { Ok(()) } else { Err(loaded) }
            })?;
        }
        Ok(())
    }
}
