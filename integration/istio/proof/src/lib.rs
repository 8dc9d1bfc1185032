//! The bed as a test sees it: `tools/istio-test` brings it up and says in the environment where it is.

use std::env::var;
use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

mod http;

pub use http::Answer;

/// What anything here fails with: a sentence.
pub type Fault = String;

/// How long anything may take before it counts as failed. Generous: a busy machine is slow, not broken.
pub const DEADLINE: Duration = Duration::from_secs(60);

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

    /// Applies an object until the guard is dropped.
    ///
    /// # Errors
    /// When the API server, or Istio's webhook behind it, refuses it.
    pub fn apply(&self, object: &Value) -> Result<Applied<'_>, Fault> {
        let text = object.to_string();
        self.run("kubectl", &["-n", NAMESPACE, "apply", "-f", "-"], &text)?;
        Ok(Applied { bed: self, text })
    }

    /// Puts a module into the registry as an image of one `tar+gzip` layer, and gives its address with its digest.
    ///
    /// # Errors
    /// When there is no such module, or the registry does not take it.
    pub fn push(&self, module: &str) -> Result<String, Fault> {
        let wasm = self.modules.join(format!("{module}.wasm"));
        let folder = self.state.join("images").join(module);
        std::fs::create_dir_all(&folder)
            .map_err(|error| format!("{}: {error}", folder.display()))?;
        std::fs::copy(&wasm, folder.join("plugin.wasm"))
            .map_err(|error| format!("{}: {error}", wasm.display()))?;
        let layer = folder.join("layer.tar.gz");
        let (folder, layer) = (folder.to_string_lossy(), layer.to_string_lossy());
        self.run("tar", &["-C", &folder, "-czf", &layer, "plugin.wasm"], "")?;
        let tag = format!("{}/outrigger/{module}:test", self.registry);
        self.run(
            "crane",
            &["append", "--insecure", "--oci-empty-base", "-f", &layer, "-t", &tag],
            "",
        )?;
        let digest = self.run("crane", &["digest", "--insecure", &tag], "")?;
        Ok(format!("oci://{}/outrigger/{module}@{}", self.registry_name, digest.trim()))
    }

    /// A WasmPlugin with a filter's module, and what else its `spec` says.
    ///
    /// # Errors
    /// When the module cannot be pushed.
    pub fn plugin(&self, filter: &str, app: &str, spec: Value) -> Result<Value, Fault> {
        let mut plugin = json!({
            "apiVersion": "extensions.istio.io/v1alpha1",
            "kind": "WasmPlugin",
            "metadata": { "name": format!("outrigger-{filter}"), "namespace": NAMESPACE },
            "spec": { "selector": { "matchLabels": { "app": app } }, "url": self.push(filter)?, "priority": 100 },
        });
        if let (Some(all), Value::Object(more)) =
            (plugin.get_mut("spec").and_then(Value::as_object_mut), spec)
        {
            all.extend(more);
        }
        Ok(plugin)
    }

    /// A request to the shop, by the gateway.
    ///
    /// # Errors
    /// When no answer comes.
    pub fn get(&self, path: &str, headers: &[(&str, &str)]) -> Result<Answer, Fault> {
        let address =
            self.kubectl(&["get", "service", "gateway", "-o", "jsonpath={.spec.clusterIP}"])?;
        http::get(&address, 80, "shop.example", path, headers)
    }

    /// A request to a pod of an application, from outside of the mesh.
    ///
    /// # Errors
    /// When no answer comes.
    pub fn get_pod(&self, app: &str, path: &str) -> Result<Answer, Fault> {
        let first =
            ["get", "pods", "-l", &format!("app={app}"), "-o", "jsonpath={.items[0].status.podIP}"];
        http::get(&self.kubectl(&first)?, 8080, app, path, &[])
    }

    /// What the proxies of an application's pods have logged, all together.
    ///
    /// # Errors
    /// When that cannot be read.
    pub fn proxy_log(&self, app: &str) -> Result<String, Fault> {
        let names = [
            "get",
            "pods",
            "-l",
            &format!("app={app}"),
            "-o",
            "jsonpath={.items[*].metadata.name}",
        ];
        let mut all = String::new();
        for pod in self.kubectl(&names)?.split_whitespace() {
            let path =
                self.state.join("pods").join(format!("{NAMESPACE}_{pod}")).join("istio-proxy.log");
            all += &std::fs::read_to_string(&path)
                .map_err(|error| format!("{}: {error}", path.display()))?;
        }
        Ok(all)
    }
}

/// Something applied; deleted when dropped.
pub struct Applied<'a> {
    bed: &'a Bed,
    text: String,
}

impl Drop for Applied<'_> {
    fn drop(&mut self) {
        let arguments = ["-n", NAMESPACE, "delete", "--ignore-not-found", "-f", "-"];
        if let Err(fault) = self.bed.run("kubectl", &arguments, &self.text) {
            eprintln!("{fault}");
        }
    }
}
