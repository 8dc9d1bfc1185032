//! What a descriptor is made of (`RateLimit.Action`), and what of a request it reads.

use filter_core::Invalid;
use filter_core::config::{Object, Whole};
use filter_core::matching::NonEmpty;
use serde::Deserialize;
use serde_json::{Value, json};

/// One element of `rate_limits`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RateLimit {
    pub(super) actions: NonEmpty<Object<Action>>,
    #[serde(default)]
    stage: Option<Whole>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Action {
    #[serde(alias = "requestHeaders")]
    request_headers: Option<Object<RequestHeaders>>,
    #[serde(alias = "queryParameters")]
    query_parameters: Option<Object<QueryParameters>>,
    #[serde(alias = "remoteAddress")]
    remote_address: Option<Object<Nothing>>,
    #[serde(alias = "maskedRemoteAddress")]
    masked_remote_address: Option<Object<Masked>>,
    #[serde(alias = "genericKey")]
    generic_key: Option<Object<GenericKey>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Nothing {}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RequestHeaders {
    #[serde(alias = "headerName")]
    header_name: String,
    #[serde(alias = "descriptorKey")]
    descriptor_key: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct QueryParameters {
    #[serde(alias = "queryParameterName")]
    query_parameter_name: String,
    #[serde(alias = "descriptorKey")]
    descriptor_key: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Masked {
    #[serde(alias = "v4PrefixMaskLen")]
    v4_prefix_mask_len: Option<Whole>,
    #[serde(alias = "v6PrefixMaskLen")]
    v6_prefix_mask_len: Option<Whole>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct GenericKey {
    #[serde(alias = "descriptorValue")]
    descriptor_value: String,
    #[serde(alias = "descriptorKey")]
    descriptor_key: Option<String>,
}

/// One entry that an action makes: its key, and where its value comes from.
pub(super) struct Entry {
    pub(super) key: String,
    pub(super) source: Source,
}

/// Where the value of an entry comes from.
pub(super) enum Source {
    /// It is always this.
    Constant(String),
    /// A part of a key of ours, and the `key` of a condition on it, if there is one.
    Part(Value, Option<String>),
}

impl RateLimit {
    /// The entries that it makes, in order.
    pub(super) fn entries(self) -> Result<Vec<Entry>, Invalid> {
        if self.stage.is_some_and(|stage| stage.0 != 0) {
            return Err(Invalid::at("/stage", "stage 0", "another"));
        }
        let actions = self.actions.into_vec().into_iter().enumerate();
        actions
            .map(|(index, Object(action))| {
                action.entry().map_err(|invalid| invalid.under(&format!("/actions/{index}")))
            })
            .collect()
    }
}

impl Action {
    fn entry(self) -> Result<Entry, Invalid> {
        let mut entries = Vec::new();
        entries.extend(self.request_headers.map(|Object(action)| {
            // Ours name pseudo-headers by what they are.
            let (part, condition) = match action.header_name.as_str() {
                ":path" | ":method" | ":authority" => (Value::Null, None),
                name => (json!({"header": name}), Some(format!("request.headers[{name}]"))),
            };
            let part = if action.header_name == ":method" { json!({"method": {}}) } else { part };
            Entry { key: action.descriptor_key, source: Source::Part(part, condition) }
        }));
        entries.extend(self.query_parameters.map(|Object(action)| Entry {
            key: action.descriptor_key,
            source: Source::Part(json!({"query": action.query_parameter_name}), None),
        }));
        let address = |key: &str, v4: u64, v6: u64| Entry {
            key: key.to_owned(),
            source: Source::Part(
                json!({"clientAddress": {"ipv4Prefix": v4, "ipv6Prefix": v6}}),
                Some("remote.ip".to_owned()),
            ),
        };
        entries.extend(self.remote_address.map(|_| address("remote_address", 32, 128)));
        entries.extend(self.masked_remote_address.map(|Object(masked)| {
            let [v4, v6] = [
                masked.v4_prefix_mask_len.map_or(32, |bits| bits.0),
                masked.v6_prefix_mask_len.map_or(128, |bits| bits.0),
            ];
            address("masked_remote_address", v4, v6)
        }));
        entries.extend(self.generic_key.map(|Object(action)| Entry {
            key: action.descriptor_key.unwrap_or_else(|| "generic_key".to_owned()),
            source: Source::Constant(action.descriptor_value),
        }));
        let count = entries.len();
        match entries.pop() {
            Some(Entry { source: Source::Part(Value::Null, _), .. }) => Err(Invalid::at(
                "/request_headers/header_name",
                "a header, or `:method`",
                "another pseudo-header",
            )),
            Some(entry) if count == 1 => Ok(entry),
            _ => Err(Invalid::at("", "one action", count.to_string())),
        }
    }
}
