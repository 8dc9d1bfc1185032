//! What Envoy has for the same jobs.

use cases::JWKS;
use serde_json::{Value, json};

use crate::bench::cast::{API_KEY, Bucket, ISSUER, SUBJECT, USERS, api_key};

/// The name of the filter that ends a request without an upstream.
pub(crate) const FAULT: &str = "envoy.filters.http.fault";

/// Whether tokens that were verified are remembered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TokenCache {
    On,
    Off,
}

/// `jwt_authn`, which demands a token of the issuer.
fn authn(cache: TokenCache) -> Value {
    let mut provider = json!({
        "issuer": ISSUER,
        "local_jwks": {"inline_string": JWKS},
        "payload_in_metadata": "payload",
        "claim_to_headers": [{"header_name": SUBJECT, "claim_name": "sub"}],
    });
    if let (TokenCache::On, Some(provider)) = (cache, provider.as_object_mut()) {
        provider.insert("jwt_cache_config".to_owned(), json!({"jwt_cache_size": 1000}));
    }
    filter(
        "jwt_authn",
        "jwt_authn.v3.JwtAuthentication",
        &json!({
            "providers": {"demo": provider},
            "rules": [{"match": {"prefix": "/"}, "requires": {"provider_name": "demo"}}],
        }),
    )
}

/// The principal whose token has a claim of this value.
fn claim(claim: &str, value: &Value) -> Value {
    let path = json!([{"key": "payload"}, {"key": claim}]);
    json!({"metadata": {"filter": "envoy.filters.http.jwt_authn", "path": path, "value": value}})
}

/// `jwt_authn`, and after it `rbac` twice, as Istio translates a DENY and two ALLOW policies.
pub(crate) fn authz(cache: TokenCache) -> Vec<Value> {
    let admin = json!({"or_rules": {"rules": [
        {"url_path": {"path": {"exact": "/admin"}}},
        {"url_path": {"path": {"prefix": "/admin/"}}},
    ]}});
    let delete = json!({"header": {"name": ":method", "string_match": {"exact": "DELETE"}}});
    let admins = json!({"list_match": {"one_of": {"string_match": {"exact": "admin"}}}});
    let deny = json!({
        "no-deletes": {"permissions": [delete], "principals": [{"any": true}]},
    });
    let allow = json!({
        "signed-in": {
            "permissions": [{"not_rule": admin}],
            "principals": [claim("iss", &json!({"present_match": true}))],
        },
        "admins": {"permissions": [admin], "principals": [claim("groups", &admins)]},
    });
    let rbac = |action, policies: &Value| {
        filter("rbac", "rbac.v3.RBAC", &json!({"rules": {"action": action, "policies": policies}}))
    };
    vec![authn(cache), rbac("DENY", &deny), rbac("ALLOW", &allow)]
}

/// The names of so many policies, and with what the paths begin that each allows.
pub(crate) fn crowd(count: usize) -> impl Iterator<Item = (String, String)> {
    (1..=count).map(move |number| {
        let service = if number == count { "checkout" } else { &format!("service-{number}") };
        (format!("p{number:04}"), format!("/{service}/"))
    })
}

/// `jwt_authn`, and after it `rbac` with so many policies, each for those who have a token.
pub(crate) fn guarded_crowd(count: usize) -> Vec<Value> {
    let signed_in = claim("iss", &json!({"present_match": true}));
    vec![authn(TokenCache::On), allowing(count, &signed_in)]
}

/// `rbac` with so many policies.
pub(crate) fn rbac(count: usize) -> Value {
    allowing(count, &json!({"any": true}))
}

fn allowing(count: usize, principal: &Value) -> Value {
    let get = json!({"header": {"name": ":method", "string_match": {"exact": "GET"}}});
    let policies: serde_json::Map<String, Value> = crowd(count)
        .map(|(name, prefix)| {
            let path = json!({"url_path": {"path": {"prefix": prefix}}});
            let both = json!({"and_rules": {"rules": [get, path]}});
            (name, json!({"permissions": [both], "principals": [principal]}))
        })
        .collect();
    let rules = json!({"action": "ALLOW", "policies": policies});
    filter("rbac", "rbac.v3.RBAC", &json!({"rules": rules}))
}

/// `local_ratelimit` with one descriptor for each API key that there is.
pub(crate) fn ratelimit(bucket: &Bucket) -> Value {
    let tokens = |number: u32| {
        json!({
            "max_tokens": number,
            "tokens_per_fill": number,
            "fill_interval": bucket.interval,
        })
    };
    let descriptors: Vec<Value> = USERS
        .iter()
        .map(|user| {
            let entry = json!({"key": "api_key", "value": api_key(user.name)});
            json!({"entries": [entry], "token_bucket": tokens(bucket.tokens)})
        })
        .collect();
    let always = json!({"default_value": {"numerator": 100, "denominator": "HUNDRED"}});
    filter(
        "local_ratelimit",
        "local_ratelimit.v3.LocalRateLimit",
        &json!({
            "stat_prefix": bucket.name,
            "token_bucket": tokens(u32::MAX),
            "always_consume_default_token_bucket": false,
            "filter_enabled": always,
            "filter_enforced": always,
            "descriptors": descriptors,
            "rate_limits": [{"actions": [
                {"request_headers": {"header_name": API_KEY, "descriptor_key": "api_key"}},
            ]}],
        }),
    )
}

/// `fault`, which ends requests as their route says.
pub(crate) fn fault() -> Value {
    filter("fault", "fault.v3.HTTPFault", &json!({}))
}

/// For a route: that `fault` ends its requests with this status.
pub(crate) fn aborting(status: u16) -> Value {
    let abort = json!({"http_status": status, "percentage": {"numerator": 100}});
    json!({FAULT: config("fault.v3.HTTPFault", &json!({"abort": abort}))})
}

/// The access logger that counts requests by the name of their route.
pub(crate) fn telemetry() -> Value {
    json!({
        "name": "envoy.access_loggers.stats",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.access_loggers.stats.v3.Config",
            "stat_prefix": "native",
            "counters": [{
                "stat": {"name": "http_server_requests_total", "tags": [
                    {"name": "http_route", "value_format": "%ROUTE_NAME%"},
                    {"name": "http_request_method", "value_format": "%REQ(:METHOD)%"},
                    {"name": "status", "value_format": "%RESPONSE_CODE%"},
                ]},
                "value_fixed": 1,
            }],
        },
    })
}

fn filter(name: &str, kind: &str, fields: &Value) -> Value {
    json!({"name": format!("envoy.filters.http.{name}"), "typed_config": config(kind, fields)})
}

fn config(kind: &str, fields: &Value) -> Value {
    let mut config = fields.clone();
    if let Some(members) = config.as_object_mut() {
        let kind = format!("type.googleapis.com/envoy.extensions.filters.http.{kind}");
        members.insert("@type".to_owned(), kind.into());
    }
    config
}
