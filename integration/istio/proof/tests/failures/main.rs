//! What happens to requests when a plugin cannot be had, is refused, reaches nobody or crashes; where that shows, and
//! how it ends. `docs/compatibility.md` is the same for readers.

use proof::Strategy;
use serde_json::{Value, json};

mod configuration;
mod crash;
mod listener;
mod manifest;
mod pull;

/// What stands in for a plugin that the agent could not get: Envoy's RBAC filter, with no rule or no policy.
struct StandIn {
    status: u16,
    body: &'static str,
    log: &'static str,
}

impl StandIn {
    const fn of(strategy: Strategy) -> Self {
        match strategy {
            Strategy::Open => {
                Self { status: 200, body: "\"name\":\"open\"", log: ". applying allow RBAC filter" }
            }
            Strategy::Close | Strategy::Reload => Self {
                status: 403,
                body: "RBAC: access denied",
                log: ". applying deny RBAC filter",
            },
        }
    }
}

/// A plugin whose every answer is its own: 429 to whoever has no tenant.
fn limit(url: &str) -> Value {
    json!({ "url": url, "pluginConfig": { "rules": [{
        "name": "tenants", "key": [{ "header": "x-tenant" }], "missingKey": "deny",
        "tokenBucket": { "maxTokens": 5, "fillInterval": "1s" },
    }] } })
}

/// The same with more fields, or others.
fn with(mut spec: Value, more: Value) -> Value {
    if let (Some(all), Value::Object(more)) = (spec.as_object_mut(), more) {
        all.extend(more);
    }
    spec
}
