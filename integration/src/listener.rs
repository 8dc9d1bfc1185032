//! One listener of a configuration, to be made into others.

use std::path::Path;

use serde_json::{Value, json};

use crate::document::{at, is_named, list, named, put};
use crate::{Plugin, plugin};

const MANAGER: &str = "/filter_chains/0/filters/0/typed_config";
const LOG_FORMAT: &str = "/access_log/0/typed_config/log_format/json_format";

/// One listener.
#[derive(Clone, Debug, PartialEq)]
pub struct Listener(Value);

impl Listener {
    pub(crate) fn new(value: Value) -> Self {
        Self(value)
    }

    pub(crate) fn into_value(self) -> Value {
        self.0
    }

    /// The same under another name, which its stats have too.
    ///
    /// # Errors
    /// When it is no HTTP listener.
    pub fn named(mut self, name: &str) -> Result<Self, String> {
        put(&mut self.0, "/name", name.into())?;
        put(&mut self.0, &format!("{MANAGER}/stat_prefix"), name.into())?;
        Ok(self)
    }

    /// The same on a socket in the file system, behind this transport socket.
    ///
    /// # Errors
    /// When it has no filter chain.
    pub fn on_pipe(mut self, path: &Path, transport_socket: Value) -> Result<Self, String> {
        put(&mut self.0, "/address", json!({"pipe": {"path": path}}))?;
        put(&mut self.0, "/filter_chains/0/transport_socket", transport_socket)?;
        Ok(self)
    }

    /// The same with these plugins before the router, instead of all others.
    ///
    /// # Errors
    /// When it is no HTTP listener, or a module was not built.
    pub fn with_plugins(self, plugins: &[Plugin]) -> Result<Self, String> {
        let filters = plugins.iter().map(Plugin::to_filter).collect::<Result<Vec<_>, _>>()?;
        self.with_filters(filters)
    }

    /// The same with these HTTP filters before the router, instead of all others.
    ///
    /// # Errors
    /// When it is no HTTP listener.
    pub fn with_filters(mut self, filters: Vec<Value>) -> Result<Self, String> {
        let own = self.filters()?;
        let router = own.len().saturating_sub(1);
        own.splice(..router, filters);
        Ok(self)
    }

    /// The same with one more route, the first of its first virtual host.
    ///
    /// # Errors
    /// When it is no HTTP listener with routes of its own.
    pub fn with_first_route(mut self, route: Value) -> Result<Self, String> {
        let routes = format!("{MANAGER}/route_config/virtual_hosts/0/routes");
        list(&mut self.0, &routes)?.insert(0, route);
        Ok(self)
    }

    /// The same with one more plugin, the first.
    ///
    /// # Errors
    /// When it is no HTTP listener, or the module was not built.
    pub fn with_first(mut self, plugin: &Plugin) -> Result<Self, String> {
        self.filters()?.insert(0, plugin.to_filter()?);
        Ok(self)
    }

    /// The same without one of its plugins.
    ///
    /// # Errors
    /// When it is no HTTP listener.
    pub fn without(mut self, name: &str) -> Result<Self, String> {
        self.filters()?.retain(|filter| !is_named(filter, name));
        Ok(self)
    }

    /// The same with another configuration and VM for one of its plugins.
    ///
    /// # Errors
    /// When it has no such plugin.
    pub fn configure(mut self, name: &str, vm_id: &str, document: &str) -> Result<Self, String> {
        let filter = named(&mut self.0, &format!("{MANAGER}/http_filters"), name)?;
        put(filter, "/typed_config/config/configuration", plugin::text(document))?;
        put(filter, "/typed_config/config/vm_config/vm_id", vm_id.into())?;
        Ok(self)
    }

    /// The same, passing paths on as the client wrote them.
    ///
    /// # Errors
    /// When it is no HTTP listener.
    pub fn with_raw_paths(mut self) -> Result<Self, String> {
        for option in ["normalize_path", "merge_slashes"] {
            put(&mut self.0, &format!("{MANAGER}/{option}"), false.into())?;
        }
        Ok(self)
    }

    /// The same with another value for a field of its connection manager.
    ///
    /// # Errors
    /// When it is no HTTP listener.
    pub fn managed(mut self, field: &str, value: Value) -> Result<Self, String> {
        put(&mut self.0, &format!("{MANAGER}/{field}"), value)?;
        Ok(self)
    }

    /// The same on a socket in the file system, for connections that this transport secures.
    ///
    /// # Errors
    /// When it has no filter chain.
    pub fn secured(mut self, path: &Path, transport_socket: Value) -> Result<Self, String> {
        put(&mut self.0, "/address", json!({"pipe": {"path": path}}))?;
        put(&mut self.0, "/filter_chains/0/transport_socket", transport_socket)?;
        Ok(self)
    }

    /// A listener on a free port that only passes connections on to a cluster.
    #[must_use]
    pub fn forwarding(name: &str, cluster: &str) -> Self {
        let kind = "type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy";
        let config = json!({"@type": kind, "stat_prefix": name, "cluster": cluster});
        Self(json!({
            "name": name,
            "address": {"socket_address": {"address": "127.0.0.1", "port_value": 0}},
            "filter_chains": [{"filters": [
                {"name": "envoy.filters.network.tcp_proxy", "typed_config": config},
            ]}],
        }))
    }

    /// The same, with these names of filter state in the access log too.
    ///
    /// # Errors
    /// When it has no access log of JSON.
    pub fn logging<'a>(
        mut self,
        states: impl IntoIterator<Item = &'a str>,
    ) -> Result<Self, String> {
        for state in states {
            let operator = format!("%FILTER_STATE(wasm.{state}:PLAIN)%");
            put(&mut self.0, &format!("{MANAGER}{LOG_FORMAT}/{state}"), operator.into())?;
        }
        Ok(self)
    }

    /// The modules of its plugins, as paths from the repository's root.
    pub fn modules(&self) -> impl Iterator<Item = &str> {
        let filters = at(&self.0, &format!("{MANAGER}/http_filters")).ok();
        filters.and_then(Value::as_array).into_iter().flatten().filter_map(|filter| {
            filter.pointer("/typed_config/config/vm_config/code/local/filename")?.as_str()
        })
    }

    /// The configuration of one of its plugins, as JSON.
    ///
    /// # Errors
    /// When it has no such plugin, or its configuration is no JSON.
    pub fn configuration(&self, name: &str) -> Result<Value, String> {
        let filters = at(&self.0, &format!("{MANAGER}/http_filters"))?.as_array();
        let filter = filters.into_iter().flatten().find(|filter| is_named(filter, name));
        let filter = filter.ok_or_else(|| format!("no plugin `{name}`"))?;
        let text = at(filter, "/typed_config/config/configuration/value")?.as_str();
        serde_json::from_str(text.unwrap_or_default()).map_err(|error| format!("{name}: {error}"))
    }

    fn filters(&mut self) -> Result<&mut Vec<Value>, String> {
        list(&mut self.0, &format!("{MANAGER}/http_filters"))
    }
}
