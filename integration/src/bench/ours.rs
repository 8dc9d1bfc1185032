//! Our filters as the bench configures them.

use cases::JWKS;
use serde_json::{Value, json};

use crate::Plugin;
use crate::bench::cast::{
    API_KEY, Bucket, ISSUER, SHARE, SUBJECT, TEMPLATES, USER, USERS, VERSION_HEADER,
};
use crate::bench::native::TokenCache;
use crate::plugin::text;

/// The module that does nothing.
pub(crate) fn noop() -> Plugin {
    let module = "target/probes/noop.wasm".to_owned();
    Plugin { module, ..Plugin::shipped("noop", &json!({})) }
}

/// The module that makes the host calls of a job, and does nothing else.
pub(crate) fn floor(job: &str) -> Plugin {
    calls("floor", job)
}

/// The same, for a job that ends when the request does.
pub(crate) fn late_floor(job: &str) -> Plugin {
    calls("floor-late", job)
}

/// The same by hand, with the callbacks that a filter needs for it.
pub(crate) fn by_hand(job: &str) -> Plugin {
    let module = if job == "authz" { "floor-by-hand" } else { "floor-whole" };
    calls(module, &format!("{job} by hand"))
}

fn calls(module: &str, job: &str) -> Plugin {
    let module = format!("target/probes/{module}.wasm");
    Plugin { module, configuration: text(job), ..Plugin::shipped("floor", &json!({})) }
}

/// Counts requests by their route.
pub(crate) fn telemetry() -> Plugin {
    Plugin::shipped("telemetry", &counting())
}

/// Counts requests by their route and by who asks, and how long they took, and does nothing else.
pub(crate) fn telemetry_by_tenant() -> Plugin {
    let mut document = counting();
    if let Some(members) = document.as_object_mut() {
        let names: Vec<&str> = USERS.iter().map(|user| user.name).collect();
        members.insert("labels".to_owned(), json!({"tenant": {"header": USER, "allowed": names}}));
        members.insert("duration".to_owned(), json!({}));
        members.insert("sinks".to_owned(), json!(["METRICS"]));
    }
    Plugin::shipped("telemetry", &document)
}

/// Tells the route in filter state, and counts nothing.
pub(crate) fn telemetry_in_filter_state() -> Plugin {
    let mut document = counting();
    if let Some(members) = document.as_object_mut() {
        members.insert("sinks".to_owned(), json!(["FILTER_STATE"]));
    }
    Plugin::shipped("telemetry", &document)
}

/// Counts requests by one of so many routes, of which the requests take the last.
pub(crate) fn telemetry_of_routes(count: usize) -> Plugin {
    let others = (1..count).map(|number| format!("/other/{number}/{{id}}"));
    let route = |path: String| json!({"path": path, "methods": ["GET"]});
    let routes: Vec<Value> = others.chain(["/checkout/{order}".to_owned()]).map(route).collect();
    Plugin::shipped("telemetry", &json!({"routes": routes}))
}

/// Lets in who has a token of the issuer, but not to delete.
pub(crate) fn authz(cache: TokenCache) -> Plugin {
    let mut document = guarding();
    if let (TokenCache::Off, Some(members)) = (cache, document.as_object_mut()) {
        members.insert("jwtCacheConfig".to_owned(), json!({"jwtCacheSize": 0}));
    }
    Plugin::shipped("authz", &document)
}

/// Allows so many things, each by a policy of its own, and of the last of them the bench makes use.
pub(crate) fn crowd(count: usize) -> Plugin {
    Plugin::shipped("authz", &json!({"policies": policies(count, None)}))
}

/// The same, to those who have a token of the issuer.
pub(crate) fn guarded_crowd(count: usize) -> Plugin {
    let mut document = guarding();
    if let Some(members) = document.as_object_mut() {
        let from = json!([{"source": {"requestPrincipals": ["*"]}}]);
        members.insert("policies".to_owned(), policies(count, Some(&from)).into());
    }
    Plugin::shipped("authz", &document)
}

fn policies(count: usize, from: Option<&Value>) -> Vec<Value> {
    let policy = |(name, prefix): (String, String)| {
        let operation = json!({"methods": ["GET"], "paths": [format!("{prefix}*")]});
        let mut rule = json!({"to": [{"operation": operation}]});
        if let (Some(from), Some(members)) = (from, rule.as_object_mut()) {
            members.insert("from".to_owned(), from.clone());
        }
        json!({"name": name, "rules": [rule]})
    };
    crate::bench::native::crowd(count).map(policy).collect()
}

/// Limits each API key.
pub(crate) fn ratelimit(bucket: &Bucket) -> Plugin {
    Plugin::shipped("ratelimit", &limiting(bucket))
}

/// Gives a share of the users the other version.
pub(crate) fn canary() -> Plugin {
    Plugin::shipped("canary", &splitting())
}

/// A hundred decisions between versions, about hosts and paths that nobody asks for.
pub(crate) fn hundred_rollouts() -> Plugin {
    let rollout = |number: u32| {
        json!({
            "name": format!("other-{number}"),
            "match": {"hosts": ["shop.example"], "paths": [format!("/other/{number}/*")]},
            "header": format!("x-canary-other-{number}"),
            "key": [{"header": USER}],
            "stable": "v1",
            "variants": [{"name": "v2", "weight": SHARE}],
        })
    };
    let rollouts: Vec<Value> = (0..100).map(rollout).collect();
    Plugin::shipped("canary", &json!({"rollouts": rollouts}))
}

/// All of that in one plugin.
pub(crate) fn suite(bucket: &Bucket) -> Plugin {
    let document = json!({
        "telemetry": counting(),
        "authz": guarding(),
        "ratelimit": limiting(bucket),
        "canary": splitting(),
    });
    Plugin::shipped("suite", &document)
}

fn counting() -> Value {
    let routes: Vec<Value> = TEMPLATES.iter().map(|path| json!({"path": path})).collect();
    json!({"routes": routes})
}

fn guarding() -> Value {
    json!({
        "jwtRules": [{
            "issuer": ISSUER,
            "jwks": JWKS,
            "outputClaimToHeaders": [{"header": SUBJECT, "claim": "sub"}],
        }],
        "policies": [
            {"name": "no-deletes", "action": "DENY", "rules": [
                {"to": [{"operation": {"methods": ["DELETE"]}}]},
            ]},
            {"name": "signed-in", "rules": [{
                "from": [{"source": {"requestPrincipals": ["*"]}}],
                "to": [{"operation": {"notPaths": ["/admin", "/admin/*"]}}],
            }]},
            {"name": "admins", "rules": [{
                "to": [{"operation": {"paths": ["/admin", "/admin/*"]}}],
                "when": [{"key": "request.auth.claims[groups]", "values": ["admin"]}],
            }]},
        ],
    })
}

/// Ten limits, of which the requests meet the last.
pub(crate) fn ten_rules(bucket: &Bucket) -> Plugin {
    let mut document = limiting(bucket);
    let other = |number: u32| {
        json!({
            "name": format!("other-{number}"),
            "match": {"methods": ["GET"], "paths": [format!("/other/{number}/*")]},
            "key": [{"header": API_KEY}],
            "limits": ["1/day"],
        })
    };
    if let Some(rules) = document.get_mut("rules").and_then(Value::as_array_mut) {
        if let Some(rule) = rules.first_mut().and_then(Value::as_object_mut) {
            rule.insert("match".to_owned(), json!({"paths": ["/checkout/*"]}));
        }
        rules.splice(..0, (0..9).map(other));
    }
    Plugin::shipped("ratelimit", &document)
}

fn limiting(bucket: &Bucket) -> Value {
    json!({"rules": [{
        "name": bucket.name,
        "key": [{"header": API_KEY}],
        "tokenBucket": {
            "maxTokens": bucket.tokens,
            "tokensPerFill": bucket.tokens,
            "fillInterval": bucket.interval,
        },
    }]})
}

fn splitting() -> Value {
    json!({"rollouts": [{
        "name": "checkout",
        "header": VERSION_HEADER,
        "key": [{"header": USER}],
        "stable": "v1",
        "variants": [{"name": "v2", "weight": SHARE}],
    }]})
}
