//! Where requests go: nowhere. No upstream stands behind the filters, so none blurs what they cost. A version is told
//! by its status.

use serde_json::{Value, json};

use crate::bench::cast::{SHARE, TEMPLATES, USER, V1, V2, VERSION_HEADER};
use crate::bench::native;

/// How a request comes to its version, and to its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Routes {
    /// By the header that canary sets; the route itself answers.
    ByHeader,
    /// By the same header; `fault` answers. The floor of the weighted clusters.
    ByHeaderToClusters,
    /// By weighted clusters and the hash of the user's name; `fault` answers, for a route to a cluster cannot.
    Weighted,
    /// One route for each template of telemetry; the route itself answers.
    Named,
    /// One route for each template of telemetry, each to the weighted clusters.
    NamedWeighted,
}

impl Routes {
    /// As a virtual host writes them.
    pub(crate) fn to_json(self) -> Vec<Value> {
        match self {
            Self::ByHeader => by_header(answer),
            Self::ByHeaderToClusters => by_header(abort),
            Self::Weighted => vec![route(anything(), &weighted())],
            Self::Named => named(&answer("v1", V1)),
            Self::NamedWeighted => named(&weighted()),
        }
    }
}

fn by_header(end: impl Fn(&str, u16) -> Value) -> Vec<Value> {
    let chosen = json!({"name": VERSION_HEADER, "string_match": {"exact": "v2"}});
    let matched = json!({"prefix": "/", "headers": [chosen]});
    vec![route(matched, &end("v2", V2)), route(anything(), &end("v1", V1))]
}

fn named(end: &Value) -> Vec<Value> {
    let template = |path: &&str| {
        let matcher = "envoy.path.match.uri_template.uri_template_matcher";
        let kind = "envoy.extensions.path.match.uri_template.v3.UriTemplateMatchConfig";
        let kind = format!("type.googleapis.com/{kind}");
        let config = json!({"@type": kind, "path_template": path});
        let mut route =
            route(json!({"path_match_policy": {"name": matcher, "typed_config": config}}), end);
        if let Some(members) = route.as_object_mut() {
            members.insert("name".to_owned(), (*path).into());
        }
        route
    };
    TEMPLATES.iter().map(template).chain([route(anything(), end)]).collect()
}

fn anything() -> Value {
    json!({"prefix": "/"})
}

/// What the end says, for the requests that match.
fn route(matched: Value, end: &Value) -> Value {
    let mut route = end.clone();
    if let Some(members) = route.as_object_mut() {
        members.insert("match".to_owned(), matched);
    }
    route
}

fn answer(version: &str, status: u16) -> Value {
    json!({"direct_response": {"status": status, "body": {"inline_string": version}}})
}

fn abort(version: &str, status: u16) -> Value {
    json!({"route": {"cluster": version}, "typed_per_filter_config": native::aborting(status)})
}

fn weighted() -> Value {
    let cluster = |version, weight: u32, status| {
        let config = native::aborting(status);
        json!({"name": version, "weight": weight, "typed_per_filter_config": config})
    };
    let clusters = [cluster("v1", 100 - SHARE, V1), cluster("v2", SHARE, V2)];
    json!({"route": {
        "weighted_clusters": {"clusters": clusters, "use_hash_policy": true},
        "hash_policy": [{"header": {"header_name": USER}}],
    }})
}
