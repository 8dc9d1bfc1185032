//! A plugin that a running Envoy gets from a file that it watches, as a control plane would push it (ECDS).

use std::net::SocketAddr;

use serde_json::{Value, json};

use crate::folder::Folder;
use crate::{Bootstrap, Client, Envoy, Plugin, Request, Response, Validation, poll};

/// An Envoy with one plugin whose configuration can be changed while it runs.
#[derive(Debug)]
pub struct Discovered {
    envoy: Envoy,
    client: Client,
    folder: Folder,
    name: String,
    version: u32,
}

impl Discovered {
    /// Starts an Envoy that discovers this plugin, before an upstream.
    ///
    /// # Errors
    /// When it does not start.
    pub fn start(plugin: &Plugin, upstream: SocketAddr) -> Result<Self, String> {
        Self::start_with(plugin, upstream, 2)
    }

    /// As [`Discovered::start`], with so many workers.
    ///
    /// # Errors
    /// When it does not start.
    pub fn start_with(plugin: &Plugin, upstream: SocketAddr, workers: u32) -> Result<Self, String> {
        let folder = Folder::temporary()?;
        let file = folder.write("discovered.json", resource(plugin, 1)?.as_bytes())?;
        let filter = json!({
            "name": plugin.name,
            "config_discovery": {
                "config_source": {
                    "path_config_source": {"path": file},
                    "resource_api_version": "V3",
                },
                "type_urls": ["type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm"],
            },
        });
        let mut bootstrap = Bootstrap::before("telemetry", &[("v1", upstream)])?;
        let demo = bootstrap.demo()?.with_filters(vec![filter])?;
        bootstrap.set_listeners(vec![demo])?;
        let envoy = Envoy::start(&bootstrap, workers)?;
        let client = Client::new(envoy.listener("demo")?);
        Ok(Self { envoy, client, folder, name: plugin.name.clone(), version: 1 })
    }

    /// Pushes another configuration and waits until it is taken or refused. Tells which, and what was logged.
    ///
    /// # Errors
    /// When neither comes.
    pub fn push(&mut self, plugin: &Plugin) -> Result<Validation, String> {
        let (begun, refused) = self.counts()?;
        let logged = self.envoy.log().len();
        self.version = self.version.saturating_add(1);
        self.folder.write("discovered.json", resource(plugin, self.version)?.as_bytes())?;
        let accepted = poll::until(poll::DEADLINE, "the pushed configuration", || {
            let (now_begun, now_refused) = self.counts().ok()?;
            (now_begun > begun || now_refused > refused).then_some(now_refused == refused)
        })?;
        let log = self.envoy.log().get(logged..).unwrap_or_default().to_owned();
        Ok(Validation { accepted, log })
    }

    /// The Envoy.
    #[must_use]
    pub fn envoy(&self) -> &Envoy {
        &self.envoy
    }

    /// Asks the Envoy.
    ///
    /// # Errors
    /// When it does not answer.
    pub fn send(&mut self, request: &Request) -> Result<Response, String> {
        self.client.send(request)
    }

    /// How many configurations came, and how many of them were refused. Envoy counts both in one go, on the thread that
    /// the admin interface is on.
    fn counts(&self) -> Result<(u64, u64), String> {
        let prefix = format!("extension_config_discovery.http_filter.{}.", self.name);
        let stats = self.envoy.admin().stats(&prefix)?;
        let count = |what: &str| stats.get(&format!("{prefix}{what}")).copied().unwrap_or_default();
        Ok((count("config_reload"), count("config_fail")))
    }
}

/// A discovery response, as Envoy reads it from a file.
fn resource(plugin: &Plugin, version: u32) -> Result<String, String> {
    let resource: Value = json!({
        "@type": "type.googleapis.com/envoy.config.core.v3.TypedExtensionConfig",
        "name": plugin.name,
        "typed_config": plugin.to_config()?,
    });
    Ok(json!({"version_info": version.to_string(), "resources": [resource]}).to_string())
}
