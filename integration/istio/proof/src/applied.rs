//! What is in the cluster for as long as a test wants it there.

use serde_json::Value;

use crate::{Bed, Fault, NAMESPACE};

/// In the demo's namespace, where an object names none or that one.
const DEMO: [&str; 2] = ["-n", NAMESPACE];

impl Bed {
    /// Applies an object until the guard is dropped.
    ///
    /// # Errors
    /// When the API server, or Istio's webhook behind it, refuses it.
    pub fn apply(&self, object: &Value) -> Result<Applied<'_>, Fault> {
        self.apply_text(&object.to_string())
    }

    /// Applies what a manifest says until the guard is dropped.
    ///
    /// # Errors
    /// As [`Bed::apply`].
    pub fn apply_text(&self, text: &str) -> Result<Applied<'_>, Fault> {
        self.apply_in(&DEMO, "--wait", text)
    }

    /// Applies objects that name their own namespaces until the guard is dropped; it does not wait for what may take long,
    /// as the end of a namespace does.
    ///
    /// # Errors
    /// As [`Bed::apply`].
    pub fn apply_anywhere(&self, text: &str) -> Result<Applied<'_>, Fault> {
        self.apply_in(&[], "--wait=false", text)
    }

    fn apply_in(
        &self,
        namespace: &'static [&'static str],
        wait: &'static str,
        text: &str,
    ) -> Result<Applied<'_>, Fault> {
        // Made before, so that nothing is left of a list that was taken in part.
        let applied = Applied { bed: self, namespace, wait, text: text.to_owned() };
        self.run("kubectl", &[namespace, &["apply", "-f", "-"]].concat(), text)?;
        Ok(applied)
    }

    /// Applies an object over what is there.
    ///
    /// # Errors
    /// As [`Bed::apply`].
    pub fn replace(&self, object: &Value) -> Result<(), Fault> {
        self.run("kubectl", &[&DEMO, ["apply", "-f", "-"].as_slice()].concat(), &object.to_string())
            .map(drop)
    }
}

/// Something applied; deleted when dropped.
pub struct Applied<'a> {
    bed: &'a Bed,
    namespace: &'static [&'static str],
    wait: &'static str,
    text: String,
}

impl Drop for Applied<'_> {
    fn drop(&mut self) {
        let delete = ["delete", "--ignore-not-found", self.wait, "-f", "-"];
        if let Err(fault) = self.bed.run("kubectl", &[self.namespace, &delete].concat(), &self.text)
        {
            eprintln!("{fault}");
        }
    }
}
