//! A namespace of the bed, for tests that are not about the demo mesh.

use std::path::Path;

use serde_json::Value;

use crate::{Answer, Bed, Connection, DEPLOYED, Fault, TIMEOUT};

/// A namespace, with what a test does in it.
pub struct Place<'a> {
    bed: &'a Bed,
    name: String,
}

impl Bed {
    /// The namespace `name`.
    #[must_use]
    pub fn place(&self, name: impl Into<String>) -> Place<'_> {
        Place { bed: self, name: name.into() }
    }
}

impl Place<'_> {
    /// `kubectl`, in this namespace.
    ///
    /// # Errors
    /// With what it said.
    pub fn kubectl(&self, arguments: &[&str], input: &str) -> Result<String, Fault> {
        self.bed.run("kubectl", &[&["-n", &self.name], arguments].concat(), input)
    }

    /// Applies a kustomization and waits until all its deployments answer.
    ///
    /// # Errors
    /// When it is refused, or does not come up.
    pub fn bring_up(&self, folder: &Path) -> Result<(), Fault> {
        self.bed.run("kubectl", &["apply", "-k", &folder.to_string_lossy()], "")?;
        // What istiod makes of a gateway comes after the gateway.
        self.kubectl(
            &[
                "wait",
                "--for=condition=Programmed",
                "gateways.gateway.networking.k8s.io",
                "--all",
                TIMEOUT,
            ],
            "",
        )?;
        self.wait_deployed()
    }

    /// Waits until all deployments answer.
    ///
    /// # Errors
    /// When they do not come up.
    pub fn wait_deployed(&self) -> Result<(), Fault> {
        self.kubectl(&DEPLOYED, "").map(drop)
    }

    /// A plugin as a file has it, with this namespace and the address that the bed's registry gave its module.
    ///
    /// # Errors
    /// When there is no such file or module.
    pub fn plugin(&self, file: &Path) -> Result<Value, Fault> {
        let arguments = ["create", "--dry-run=client", "-o", "json", "-f", &file.to_string_lossy()];
        let text = self.bed.run("kubectl", &arguments, "")?;
        let mut plugin: Value = serde_json::from_str(&text).map_err(|error| error.to_string())?;
        let url = plugin.pointer("/spec/url").and_then(Value::as_str).unwrap_or_default();
        let name = url.rsplit('/').next().and_then(|image| image.split(':').next());
        let url = self.bed.push(name.unwrap_or_default())?.url;
        for (path, value) in [("/metadata/namespace", &self.name), ("/spec/url", &url)] {
            *plugin.pointer_mut(path).ok_or_else(|| format!("no {path}: {text}"))? =
                value.as_str().into();
        }
        Ok(plugin)
    }

    /// Applies an object until the guard is dropped.
    ///
    /// # Errors
    /// When the API server, or Istio's webhook behind it, refuses it.
    pub fn apply(&self, object: &Value) -> Result<Placed<'_>, Fault> {
        let text = object.to_string();
        self.kubectl(&["apply", "-f", "-"], &text)?;
        Ok(Placed { place: self, text })
    }

    /// Applies an object in the place of one that is there already.
    ///
    /// # Errors
    /// As [`Place::apply`].
    pub fn replace(&self, object: &Value) -> Result<(), Fault> {
        self.kubectl(&["apply", "-f", "-"], &object.to_string()).map(drop)
    }

    /// Where a service is asked, from outside of the mesh.
    ///
    /// # Errors
    /// When there is no such service.
    pub fn address(&self, service: &str) -> Result<String, Fault> {
        self.kubectl(&["get", "service", service, "-o", "jsonpath={.spec.clusterIP}"], "")
    }

    /// A request to a pod of an application, from outside of the mesh.
    ///
    /// # Errors
    /// When no answer comes.
    pub fn get_pod(&self, app: &str, path: &str) -> Result<Answer, Fault> {
        let first =
            ["get", "pods", "-l", &format!("app={app}"), "-o", "jsonpath={.items[0].status.podIP}"];
        Connection::to(&self.kubectl(&first, "")?, 8080).get(app, path, &[])
    }

    /// What the proxies of a deployment's pods have logged, all together.
    ///
    /// # Errors
    /// When that cannot be read.
    pub fn proxy_log(&self, deployment: &str) -> Result<String, Fault> {
        let pods =
            self.kubectl(&["get", "pods", "-o", "jsonpath={.items[*].metadata.name}"], "")?;
        let mut all = String::new();
        for pod in pods.split_whitespace().filter(|pod| pod.starts_with(&format!("{deployment}-")))
        {
            let folder = self.bed.state.join("pods").join(format!("{}_{pod}", self.name));
            let path = folder.join("istio-proxy.log");
            all += &std::fs::read_to_string(&path)
                .map_err(|error| format!("{}: {error}", path.display()))?;
        }
        Ok(all)
    }
}

/// Something applied in a place; deleted when dropped.
pub struct Placed<'a> {
    place: &'a Place<'a>,
    text: String,
}

impl Drop for Placed<'_> {
    fn drop(&mut self) {
        let arguments = ["delete", "--ignore-not-found", "-f", "-"];
        if let Err(fault) = self.place.kubectl(&arguments, &self.text) {
            eprintln!("{fault}");
        }
    }
}
