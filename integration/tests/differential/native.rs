//! Istio's policies as configurations of Envoy's own filters: what istiod makes of them.
//!
//! Written after the facts in istio/istio, pilot/pkg/security/authz/builder/testdata/http: what stands in `NAME-in.yaml`
//! and comes out in `NAME-out.yaml`.

use cases::JWKS;
use serde_json::{Map, Value, json};

use crate::policies::{ISSUER, OTHER_ISSUER};

/// The filter whose metadata holds a token's claims.
pub(crate) const AUTHN: &str = "envoy.filters.http.jwt_authn";

/// The filters for these policies: `jwt_authn`, and `rbac` for DENY and for ALLOW, as far as there are any.
pub(crate) fn filters(policies: &[Value]) -> Vec<Value> {
    let mut filters = vec![authn()];
    for action in ["DENY", "ALLOW"] {
        let chosen: Vec<&Value> =
            policies.iter().filter(|policy| policy["action"] == action).collect();
        if chosen.is_empty() {
            continue;
        }
        let mut compiled = Map::new();
        for policy in chosen {
            for (index, rule) in list(&policy["rules"]).iter().enumerate() {
                // Envoy takes policies in the order of their names, ours are taken as they come.
                let name = format!("{}:{index}", policy["name"].as_str().unwrap());
                compiled.insert(name, self::rule(rule, policy["namespace"].as_str().unwrap()));
            }
        }
        let rules = json!({"action": action, "policies": compiled});
        filters.push(filter("rbac", "rbac.v3.RBAC", &json!({"rules": rules})));
    }
    filters
}

fn authn() -> Value {
    let provider = |issuer| {
        json!({
            "issuer": issuer,
            "local_jwks": {"inline_string": JWKS},
            "forward": true,
            "payload_in_metadata": "payload",
            "normalize_payload_in_metadata": {"space_delimited_claims": ["scope", "permission"]},
        })
    };
    let requires = json!({"requires_any": {"requirements": [
        {"provider_name": "one"}, {"provider_name": "two"}, {"allow_missing": {}},
    ]}});
    let config = json!({
        "providers": {"one": provider(ISSUER), "two": provider(OTHER_ISSUER)},
        "rules": [{"match": {"prefix": "/"}, "requires": requires}],
        "bypass_cors_preflight": true,
    });
    filter("jwt_authn", "jwt_authn.v3.JwtAuthentication", &config)
}

fn filter(name: &str, kind: &str, config: &Value) -> Value {
    let mut config = config.clone();
    let kind = format!("type.googleapis.com/envoy.extensions.filters.http.{kind}");
    config["@type"] = kind.into();
    json!({"name": format!("envoy.filters.http.{name}"), "typed_config": config})
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn rule(rule: &Value, namespace: &str) -> Value {
    let (mut principals, mut permissions) = (Vec::new(), Vec::new());
    for condition in list(&rule["when"]) {
        let key = condition["key"].as_str().unwrap();
        let (values, not) = (list(&condition["values"]), list(&condition["notValues"]));
        if let "destination.ip" | "destination.port" | "connection.sni" = key {
            push(&mut permissions, values, not, "rule", &|value| permission(key, value));
        } else {
            push_principal(&mut principals, key, values, not, namespace);
        }
    }
    let of =
        |items: &Value, member: &str, base: &[Value], add: &dyn Fn(&Value, &mut Vec<Value>)| {
            let alternatives = list(items).iter().map(|item| {
                let mut all = Vec::new();
                add(&item[member], &mut all);
                all.extend_from_slice(base);
                all
            });
            let mut alternatives: Vec<Vec<Value>> = alternatives.collect();
            if alternatives.is_empty() {
                alternatives.push(base.to_vec());
            }
            alternatives
        };
    let sources = of(&rule["from"], "source", &principals, &|source, all| {
        for (field, key) in [
            ("principals", "source.principal"),
            ("requestPrincipals", "request.auth.principal"),
            ("namespaces", "source.namespace"),
            ("serviceAccounts", "source.serviceAccount"),
            ("trustDomains", "source.trustDomain"),
            ("remoteIpBlocks", "remote.ip"),
            ("ipBlocks", "source.ip"),
        ] {
            let (values, not) = (list(&source[field]), list(&source[twin(field)]));
            push_principal(all, key, values, not, namespace);
        }
    });
    let operations = of(&rule["to"], "operation", &permissions, &|operation, all| {
        for field in ["hosts", "methods", "paths", "ports"] {
            let (values, not) = (list(&operation[field]), list(&operation[twin(field)]));
            push(all, values, not, "rule", &|value| permission(field, value));
        }
    });
    let and = |kind: &str, items: &str, all: Vec<Vec<Value>>| -> Vec<Value> {
        let one = |all: Vec<Value>| {
            let all = if all.is_empty() { vec![json!({"any": true})] } else { all };
            json!({format!("and_{kind}"): {items: all}})
        };
        all.into_iter().map(one).collect()
    };
    json!({
        "principals": and("ids", "ids", sources),
        "permissions": and("rules", "rules", operations),
    })
}

fn twin(field: &str) -> String {
    let (first, rest) = field.split_at(1);
    format!("not{}{rest}", first.to_uppercase())
}

/// One of the values, and none of the others.
fn push(
    all: &mut Vec<Value>,
    values: &[Value],
    not: &[Value],
    kind: &str,
    make: &dyn Fn(&str) -> Value,
) {
    let (items, or, not_kind) = if kind == "rule" {
        ("rules", "or_rules", "not_rule")
    } else {
        ("ids", "or_ids", "not_id")
    };
    let any = |values: &[Value]| {
        let made: Vec<Value> = values.iter().map(|value| make(value.as_str().unwrap())).collect();
        json!({or: {items: made}})
    };
    if !values.is_empty() {
        all.push(any(values));
    }
    if !not.is_empty() {
        all.push(json!({not_kind: any(not)}));
    }
}

fn push_principal(all: &mut Vec<Value>, key: &str, values: &[Value], not: &[Value], own: &str) {
    let path: Option<Vec<&str>> = match key {
        "request.auth.audiences" => Some(vec!["aud"]),
        "request.auth.presenter" => Some(vec!["azp"]),
        _ => key
            .strip_prefix("request.auth.claims[")
            .map(|rest| rest.strip_suffix(']').unwrap().split("][").collect()),
    };
    if let Some(path) = path {
        // All values of a claim become one matcher.
        if !values.is_empty() {
            all.push(claim(&path, values));
        }
        if !not.is_empty() {
            all.push(json!({"not_id": claim(&path, not)}));
        }
        return;
    }
    push(all, values, not, "id", &|value| principal(key, value, own));
}

/// One value of a source or a condition.
pub(crate) fn principal(key: &str, value: &str, own: &str) -> Value {
    let authenticated = |name: Value| json!({"authenticated": {"principal_name": name}});
    let quoted = |text: &str| text.replace('.', r"\.").replace('*', ".*");
    match key {
        "source.principal" if value == "*" => authenticated(regex(".+")),
        "source.principal" => match value.strip_prefix('*') {
            Some(rest) => authenticated(regex(&format!("spiffe://.*{}", quoted(rest)))),
            None => authenticated(text(&format!("spiffe://{value}"))),
        },
        "source.namespace" => authenticated(regex(&format!(".*/ns/{}/.*", quoted(value)))),
        "source.serviceAccount" => {
            let (namespace, account) = value.split_once('/').unwrap_or((own, value));
            let (namespace, account) = (quoted(namespace), quoted(account));
            authenticated(regex(&format!("spiffe://.+/ns/{namespace}/(.+/|)sa/{account}(/.+)?")))
        }
        "source.trustDomain" => authenticated(regex(&format!("spiffe://{}/.*", quoted(value)))),
        "source.ip" => json!({"direct_remote_ip": cidr(value)}),
        "remote.ip" => json!({"remote_ip": cidr(value)}),
        "request.auth.principal" => request_principal(value),
        _ => {
            let name = key.strip_prefix("request.headers[").unwrap().strip_suffix(']').unwrap();
            json!({"header": header(name, value, false)})
        }
    }
}

/// One value of an operation or a condition.
pub(crate) fn permission(key: &str, value: &str) -> Value {
    match key {
        "hosts" => json!({"header": header(":authority", value, true)}),
        "methods" => json!({"header": header(":method", value, false)}),
        "paths" if value.contains('{') => {
            let template = value.replace("{**}", "**").replace("{*}", "*");
            let kind = "type.googleapis.com/envoy.extensions.path.match.uri_template.v3.UriTemplateMatchConfig";
            let config = json!({"@type": kind, "path_template": template});
            json!({"uri_template": {"name": "uri-template", "typed_config": config}})
        }
        "paths" => json!({"url_path": {"path": text(value)}}),
        "connection.sni" => json!({"requested_server_name": text(value)}),
        "destination.ip" => json!({"destination_ip": cidr(value)}),
        _ => json!({"destination_port": value.parse::<u16>().unwrap()}),
    }
}

fn regex(regex: &str) -> Value {
    json!({"safe_regex": {"regex": regex}})
}

fn text(value: &str) -> Value {
    match (value.strip_prefix('*'), value.strip_suffix('*')) {
        _ if value == "*" => regex(".+"),
        (Some(suffix), _) => json!({"suffix": suffix}),
        (None, Some(prefix)) => json!({"prefix": prefix}),
        (None, None) => json!({"exact": value}),
    }
}

fn header(name: &str, value: &str, ignore_case: bool) -> Value {
    if value == "*" {
        return json!({"name": name, "present_match": true});
    }
    let mut matcher = text(value);
    if ignore_case {
        matcher["ignore_case"] = true.into();
    }
    json!({"name": name, "string_match": matcher})
}

fn cidr(value: &str) -> Value {
    let width = if value.contains(':') { 128 } else { 32 };
    let (address, length) = value
        .split_once('/')
        .map_or((value, width), |(address, length)| (address, length.parse().unwrap()));
    json!({"address_prefix": address, "prefix_len": length})
}

fn metadata(path: &[&str], value: &Value) -> Value {
    let keys = std::iter::once("payload").chain(path.iter().copied());
    let keys: Vec<Value> = keys.map(|key| json!({"key": key})).collect();
    json!({"metadata": {"filter": AUTHN, "path": keys, "value": value}})
}

fn claim(path: &[&str], values: &[Value]) -> Value {
    let texts = values.iter().map(|value| json!({"string_match": text(value.as_str().unwrap())}));
    let texts: Vec<Value> = texts.collect();
    // Envoy wants at least two in an OR.
    let any = match texts.as_slice() {
        [one] => one.clone(),
        texts => json!({"or_match": {"value_matchers": texts}}),
    };
    let list = json!({"list_match": {"one_of": any}});
    metadata(path, &json!({"or_match": {"value_matchers": [list, any]}}))
}

fn request_principal(value: &str) -> Value {
    let (issuer, subject) = match value.rsplit_once('/') {
        Some((issuer, subject)) => (issuer, Some(subject)),
        None => (value, None),
    };
    let exact = |text: &str| json!({"exact": text});
    let any = || regex(".+");
    let (issuer, subject) = match (value.strip_prefix('*'), value.strip_suffix('*'), subject) {
        _ if value == "*" => (any(), any()),
        (Some(_), _, Some(subject)) => match issuer {
            "*" => (any(), exact(subject)),
            issuer => (json!({"suffix": issuer.trim_start_matches('*')}), exact(subject)),
        },
        (Some(rest), _, None) => (any(), json!({"suffix": rest})),
        (None, Some(_), Some("*")) => (exact(issuer), any()),
        (None, Some(_), Some(subject)) => {
            (exact(issuer), json!({"prefix": subject.trim_end_matches('*')}))
        }
        (None, Some(rest), None) => (json!({"prefix": rest}), any()),
        (None, None, subject) => (exact(issuer), exact(subject.unwrap_or_default())),
    };
    let claim = |name, value| metadata(&[name], &json!({"string_match": value}));
    json!({"and_ids": {"ids": [claim("iss", issuer), claim("sub", subject)]}})
}
