//! A wasm plugin as an element of a listener's filter chain.

use serde_json::{Value, json};

use crate::workspace;

/// What Envoy does when a plugin's VM has crashed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailurePolicy {
    /// Answers 503 from then on.
    Closed,
    /// Goes on without the plugin.
    Open,
    /// Makes a fresh VM for the next request.
    Reload,
}

impl FailurePolicy {
    fn as_str(self) -> &'static str {
        match self {
            Self::Closed => "FAIL_CLOSED",
            Self::Open => "FAIL_OPEN",
            Self::Reload => "FAIL_RELOAD",
        }
    }
}

/// A wasm plugin.
#[derive(Clone, Debug)]
pub struct Plugin {
    /// Its name, and its filter's.
    pub name: String,
    /// Where the module lies, from the repository's root.
    pub module: String,
    /// Which VM it runs in, together with all others of the same module and id.
    pub vm_id: String,
    /// What happens when that crashes.
    pub failure_policy: FailurePolicy,
    /// The configuration, as Envoy's `google.protobuf.Any`; see [`text`].
    pub configuration: Value,
}

impl Plugin {
    /// The plugin of a shipped module, in a VM of its own name, that fails closed.
    #[must_use]
    pub fn shipped(name: &str, configuration: &Value) -> Self {
        Self {
            name: name.to_owned(),
            module: format!("dist/{name}.wasm"),
            vm_id: name.to_owned(),
            failure_policy: FailurePolicy::Closed,
            configuration: text(&configuration.to_string()),
        }
    }

    /// The probe, a test module that crashes on request, in a VM of its own.
    #[must_use]
    pub fn probe(failure_policy: FailurePolicy) -> Self {
        Self {
            module: "target/probes/probe.wasm".to_owned(),
            failure_policy,
            ..Self::shipped("probe", &json!({}))
        }
    }

    /// The ratelimit filter in a module that crashes when a request says so, with a fresh VM for the next one.
    #[must_use]
    pub fn brittle(configuration: &Value) -> Self {
        Self {
            module: "target/probes/brittle.wasm".to_owned(),
            failure_policy: FailurePolicy::Reload,
            ..Self::shipped("brittle", configuration)
        }
    }

    /// The filter chain's element.
    ///
    /// # Errors
    /// When the module was not built.
    pub fn to_filter(&self) -> Result<Value, String> {
        Ok(json!({"name": self.name, "typed_config": self.to_config()?}))
    }

    /// The filter's configuration.
    ///
    /// # Errors
    /// When the module was not built.
    pub fn to_config(&self) -> Result<Value, String> {
        workspace::module(&self.module)?;
        Ok(json!({
            "@type": "type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm",
            "config": {
                "name": self.name,
                "failure_policy": self.failure_policy.as_str(),
                "vm_config": {
                    "vm_id": self.vm_id,
                    "runtime": "envoy.wasm.runtime.v8",
                    "code": {"local": {"filename": self.module}},
                },
                "configuration": self.configuration,
            },
        }))
    }
}

/// A plugin's configuration as text.
#[must_use]
pub fn text(document: &str) -> Value {
    json!({"@type": "type.googleapis.com/google.protobuf.StringValue", "value": document})
}
