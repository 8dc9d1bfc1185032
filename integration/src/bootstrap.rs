//! Whole configurations for Envoy, all made out of those in `envoy-configs/`.

use std::net::SocketAddr;
use std::path::Path;

use serde_json::{Value, json};

use crate::document::{at, is_named, list, name, named, put};
use crate::{Listener, workspace};

const LISTENERS: &str = "/static_resources/listeners";
const CLUSTERS: &str = "/static_resources/clusters";
const PORT: &str = "/address/socket_address/port_value";

/// A whole configuration.
#[derive(Clone, Debug, PartialEq)]
pub struct Bootstrap(Value);

impl Bootstrap {
    /// `envoy-configs/NAME.yaml`, as it is.
    ///
    /// # Errors
    /// When it cannot be read, is not YAML, or names a module that was not built.
    pub fn shipped(name: &str) -> Result<Self, String> {
        let path = workspace::root().join("envoy-configs").join(format!("{name}.yaml"));
        let fault = |error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
        let text = std::fs::read_to_string(&path).map_err(|error| fault(&error))?;
        let bootstrap = Self(serde_saphyr::from_str(&text).map_err(|error| fault(&error))?);
        for module in bootstrap.demo()?.modules() {
            workspace::module(module)?;
        }
        Ok(bootstrap)
    }

    /// `envoy-configs/NAME.yaml` on free ports, with its own upstreams on sockets in `folder`.
    ///
    /// # Errors
    /// As [`Bootstrap::shipped`].
    pub fn anywhere(name: &str, folder: &Path) -> Result<Self, String> {
        let mut bootstrap = Self::shipped(name)?;
        bootstrap.listen("demo", 0)?;
        bootstrap.listen_admin(0)?;
        for cluster in bootstrap.clusters()? {
            let upstream = format!("upstream-{cluster}");
            let pipe = json!({"pipe": {"path": folder.join(&upstream)}});
            put(named(&mut bootstrap.0, LISTENERS, &upstream)?, "/address", pipe.clone())?;
            bootstrap.place(&cluster, pipe)?;
        }
        Ok(bootstrap)
    }

    /// `envoy-configs/NAME.yaml` with nothing but its listener `demo`, on a free port, in front of these upstreams. The
    /// first of them also stands for those that are not given.
    ///
    /// # Errors
    /// As [`Bootstrap::shipped`], and when no upstream is given.
    pub fn before(name: &str, upstreams: &[(&str, SocketAddr)]) -> Result<Self, String> {
        let mut bootstrap = Self::shipped(name)?;
        bootstrap.listen("demo", 0)?;
        bootstrap.listen_admin(0)?;
        list(&mut bootstrap.0, LISTENERS)?.retain(|listener| is_named(listener, "demo"));
        for cluster in bootstrap.clusters()? {
            let given = upstreams.iter().find(|(version, _)| *version == cluster);
            let (_, address) = given
                .or(upstreams.first())
                .ok_or_else(|| format!("no upstream for `{cluster}`"))?;
            let (ip, port) = (address.ip().to_string(), address.port());
            let socket = json!({"socket_address": {"address": ip, "port_value": port}});
            bootstrap.place(&cluster, socket)?;
        }
        Ok(bootstrap)
    }

    /// Moves a listener to another port; 0 is any.
    ///
    /// # Errors
    /// When there is no such listener.
    pub fn listen(&mut self, name: &str, port: u16) -> Result<(), String> {
        put(named(&mut self.0, LISTENERS, name)?, PORT, port.into())
    }

    /// Moves the admin interface to another port; 0 is any.
    ///
    /// # Errors
    /// When there is none.
    pub fn listen_admin(&mut self, port: u16) -> Result<(), String> {
        put(&mut self.0, &format!("/admin{PORT}"), port.into())
    }

    /// The listener `demo`, as a template for others.
    ///
    /// # Errors
    /// When there is none.
    pub fn demo(&self) -> Result<Listener, String> {
        let listeners = at(&self.0, LISTENERS)?.as_array().into_iter().flatten();
        let found = listeners.into_iter().find(|listener| is_named(listener, "demo"));
        found.cloned().map(Listener::new).ok_or_else(|| "no listener `demo`".to_owned())
    }

    /// Puts these in the place of all listeners.
    ///
    /// # Errors
    /// When there is no such list.
    pub fn set_listeners(&mut self, listeners: Vec<Listener>) -> Result<(), String> {
        let listeners = listeners.into_iter().map(Listener::into_value).collect();
        put(&mut self.0, LISTENERS, Value::Array(listeners))
    }

    /// Adds clusters.
    ///
    /// # Errors
    /// When there is no list of them.
    pub fn add_clusters(&mut self, clusters: Vec<Value>) -> Result<(), String> {
        list(&mut self.0, CLUSTERS)?.extend(clusters);
        Ok(())
    }

    /// Has the proxy cut a label out of the names of stats, as the pages say.
    ///
    /// # Errors
    /// When there is no list of them.
    pub fn add_label(&mut self, label: &str) -> Result<(), String> {
        let regex = format!("^wasmcustom\\..*([.;]{label}=\\.=([^;]*);\\.;)");
        let tags = list(&mut self.0, "/stats_config/stats_tags")?;
        tags.push(json!({"tag_name": label, "regex": regex}));
        Ok(())
    }

    /// The document.
    #[must_use]
    pub fn to_json(&self) -> String {
        self.0.to_string()
    }

    fn clusters(&self) -> Result<Vec<String>, String> {
        let clusters = at(&self.0, CLUSTERS)?.as_array().into_iter().flatten();
        Ok(clusters.filter_map(name).map(str::to_owned).collect())
    }

    /// Sends a cluster's requests to another address.
    fn place(&mut self, cluster: &str, address: Value) -> Result<(), String> {
        let place = "/load_assignment/endpoints/0/lb_endpoints/0/endpoint/address";
        put(named(&mut self.0, CLUSTERS, cluster)?, place, address)
    }
}
