//! Who may do what, by the identities that the mesh proves: our policies alone, and the same ones beside Istio's own.
#![expect(clippy::indexing_slicing, reason = "these are tests")]

use std::time::{SystemTime, UNIX_EPOCH};

use cases::{JWKS, Token};
use proof::{Answer, Applied, Bed, Fault};
use serde_json::{Value, json};

const FRONTEND: &str = "cluster.local/ns/demo/sa/frontend";
const ISSUER: &str = "https://demo.example";

fn token(claims: Value) -> Result<String, Fault> {
    let token: Token = serde_json::from_value(json!({ "key": "rs256", "claims": claims }))
        .map_err(|error| error.to_string())?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_err(|error| error.to_string())?;
    Ok(format!("Bearer {}", token.mint(now.as_secs())?))
}

fn plugin(bed: &Bed, configuration: Value) -> Result<Value, Fault> {
    let spec = json!({
        "phase": "AUTHZ", "failStrategy": "FAIL_CLOSE", "match": [{ "mode": "SERVER" }],
        "pluginConfig": configuration,
    });
    bed.plugin("authz", "checkout", spec)
}

/// A key set inside the mesh, until it is dropped.
fn keys(bed: &Bed) -> Result<Applied<'_>, Fault> {
    let manifest = include_str!("../../keys/keys.yaml");
    let document: Value = serde_json::from_str(JWKS).map_err(|error| error.to_string())?;
    let applied =
        bed.apply_text(&manifest.replace("'DOCUMENT'", &json!(document.to_string()).to_string()))?;
    bed.kubectl(&["rollout", "status", "deployment/keys", "--timeout", "60s"])?;
    Ok(applied)
}

#[test]
fn principals_and_service_accounts_are_those_of_the_callers_certificates() {
    let bed = Bed::connect().unwrap();
    let from = |source: Value| json!([{ "from": [{ "source": source }] }]);
    let allowed =
        json!([{ "name": "callers", "rules": from(json!({ "principals": [FRONTEND] })) }]);
    let others = json!([{ "name": "callers", "rules": from(json!({ "principals": ["cluster.local/ns/demo/sa/gateway"] })) }]);
    let denied = json!([{ "name": "callers", "action": "DENY", "rules": from(json!({ "serviceAccounts": ["demo/frontend"] })) }]);
    let not_denied = json!([{ "name": "callers", "action": "DENY", "rules": from(json!({ "serviceAccounts": ["demo/payments"] })) }]);

    let refusal = |answer: &Answer| answer.said(&["next", "body"]).to_string();
    let _applied = bed.apply(&plugin(&bed, json!({ "policies": others })).unwrap()).unwrap();
    let answer = bed.settle("/", 403).unwrap();
    assert!(refusal(&answer).contains("authz: not_allowed"), "{}", answer.body);
    for (policies, status) in [(allowed, 200), (denied, 403), (not_denied, 200)] {
        bed.replace(&plugin(&bed, json!({ "policies": policies })).unwrap()).unwrap();
        let answer = bed.settle("/", status).unwrap();
        assert_eq!(status == 403, refusal(&answer).contains("authz: denied"), "{}", answer.body);
    }
}

/// The policies that both get, each with its action.
fn policies() -> Vec<(&'static str, Value)> {
    let rule = |rule: Value| json!([rule]);
    let source = |source: Value| json!([{ "from": [{ "source": source }] }]);
    let operation = |operation: Value| json!([{ "to": [{ "operation": operation }] }]);
    let when = |key: &str, values: Value| json!([{ "when": [{ "key": key, "values": values }] }]);
    vec![
        ("ALLOW", source(json!({ "principals": [FRONTEND] }))),
        ("ALLOW", source(json!({ "principals": ["*/sa/gateway"] }))),
        ("DENY", source(json!({ "notPrincipals": [FRONTEND] }))),
        ("DENY", source(json!({ "namespaces": ["demo"] }))),
        ("ALLOW", source(json!({ "serviceAccounts": ["demo/frontend", "demo/payments"] }))),
        ("DENY", source(json!({ "notServiceAccounts": ["demo/frontend"] }))),
        ("ALLOW", source(json!({ "trustDomains": ["cluster.local"] }))),
        ("DENY", source(json!({ "notTrustDomains": ["elsewhere.example"] }))),
        ("ALLOW", source(json!({ "requestPrincipals": [format!("{ISSUER}/*")] }))),
        ("DENY", source(json!({ "notRequestPrincipals": ["*"] }))),
        ("ALLOW", when("request.auth.claims[groups]", json!(["buyers"]))),
        ("ALLOW", when("request.headers[x-tenant]", json!(["a*"]))),
        ("ALLOW", when("source.principal", json!([FRONTEND]))),
        (
            "ALLOW",
            operation(json!({ "paths": ["/orders/*"], "methods": ["GET"], "ports": ["8080"] })),
        ),
        ("DENY", operation(json!({ "paths": ["/admin", "/orders/{*}"] }))),
        ("ALLOW", operation(json!({ "hosts": ["checkout:8080"] }))),
        (
            "ALLOW",
            rule(json!({
                "from": [{ "source": { "principals": [FRONTEND], "requestPrincipals": ["*"] } }],
                "to": [{ "operation": { "notPaths": ["/admin"] } }],
                "when": [{ "key": "request.auth.claims[groups]", "notValues": ["visitors"] }],
            })),
        ),
    ]
}

/// Takes the place of the mesh's own policy about who may ask checkout; the mesh's is back when this is dropped.
struct Stage<'a>(&'a Bed);

impl<'a> Stage<'a> {
    /// Lets everybody ask version 2, for our plugin to judge; version 1 is left to what a test says.
    fn set(bed: &'a Bed) -> Result<Self, Fault> {
        bed.replace(&json!({
            "apiVersion": "security.istio.io/v1", "kind": "AuthorizationPolicy",
            "metadata": { "name": "checkout", "namespace": "demo" },
            "spec": { "selector": { "matchLabels": { "app": "checkout", "version": "v2" } }, "rules": [{}] },
        }))?;
        Ok(Self(bed))
    }
}

impl Drop for Stage<'_> {
    fn drop(&mut self) {
        let mesh = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../istio-manifests/mesh");
        if let Err(fault) = self.0.run("kubectl", &["apply", "-k", mesh], "") {
            eprintln!("{fault}");
        }
    }
}

/// Istio's own resources for version 1: the policy, and a DENY by which it is seen that both are in force.
fn istios(action: &str, rules: &Value, marker: &str) -> Value {
    let policy = |name: &str, action: &str, rules: Value| {
        json!({
            "apiVersion": "security.istio.io/v1", "kind": "AuthorizationPolicy",
            "metadata": { "name": name, "namespace": "demo" },
            "spec": {
                "selector": { "matchLabels": { "app": "checkout", "version": "v1" } },
                "action": action, "rules": rules,
            },
        })
    };
    let mut items = vec![
        policy("same", action, rules.clone()),
        json!({
            "apiVersion": "security.istio.io/v1", "kind": "RequestAuthentication",
            "metadata": { "name": "same", "namespace": "demo" },
            "spec": {
                "selector": { "matchLabels": { "app": "checkout", "version": "v1" } },
                "jwtRules": [{ "issuer": ISSUER, "jwks": JWKS }],
            },
        }),
    ];
    // The mesh denies what nobody allows; beside an ALLOW policy this one is about nothing that is asked for.
    let everybody = if action == "DENY" {
        json!([{}])
    } else {
        json!([{ "to": [{ "operation": { "paths": ["/nowhere"] } }] }])
    };
    items.push(policy("same-everybody", "ALLOW", everybody));
    // Last: where it is in force, so are the others.
    let paths = json!([{ "to": [{ "operation": { "paths": [marker] } }] }]);
    items.push(policy("same-marker", "DENY", paths));
    json!({ "apiVersion": "v1", "kind": "List", "items": items })
}

/// The same for us, with the keys from inside the mesh.
fn ours(bed: &Bed, action: &str, rules: &Value, marker: &str) -> Result<Value, Fault> {
    let mut plugin = plugin(
        bed,
        json!({
            "compat": "istio",
            "jwtRules": [{ "issuer": ISSUER, "jwksUri": "http://keys.demo.svc.cluster.local:8080/document" }],
            "policies": [
                { "name": "marker", "action": "DENY", "rules": [{ "to": [{ "operation": { "paths": [marker] } }] }] },
                { "name": "same", "action": action, "rules": rules },
            ],
        }),
    )?;
    plugin["spec"]["selector"]["matchLabels"]["version"] = json!("v2");
    Ok(plugin)
}

#[test]
fn istios_own_policies_decide_the_same_with_keys_from_inside_the_mesh() {
    let bed = Bed::connect().unwrap();
    let _keys = keys(&bed).unwrap();
    let _stage = Stage::set(&bed).unwrap();
    let claims = |groups: &str| json!({ "iss": ISSUER, "sub": "ann", "groups": [groups] });
    let mut expired = claims("buyers");
    expired["exp"] = json!(1);
    let tokens = [
        None,
        Some(token(claims("buyers")).unwrap()),
        Some(token(claims("visitors")).unwrap()),
        Some(token(expired).unwrap()),
        Some("Bearer not.a.token".to_owned()),
    ];
    let mut gateway = proof::Connection::to(&bed.gateway().unwrap(), 80);
    let mut ask = |version: &str, path: &str, token: Option<&String>, tenant: &str| {
        let mut headers = vec![("x-canary-checkout", version), ("x-tenant", tenant)];
        headers.extend(token.map(|token| ("authorization", token.as_str())));
        gateway.get("shop.example", path, &headers).unwrap().status
    };
    let (mut applied, mut compared) = (Vec::new(), 0);
    let mut seen = std::collections::BTreeSet::new();
    for (number, (action, rules)) in policies().into_iter().enumerate() {
        let marker = format!("/marker-{number}");
        for object in
            [istios(action, &rules, &marker), ours(&bed, action, &rules, &marker).unwrap()]
        {
            // They have the same names each time, so the first guards take away the last ones.
            match number {
                0 => applied.push(bed.apply(&object).unwrap()),
                _ => bed.replace(&object).unwrap(),
            }
        }
        let good = tokens[1].as_deref().unwrap();
        for version in ["v1", "v2"] {
            let headers =
                [("x-canary-checkout", version), ("authorization", good), ("x-tenant", "a1")];
            bed.settle_on(&marker, &headers, |answer| answer.status == 403).unwrap();
        }
        for path in ["/", "/orders/1", "/admin"] {
            for token in &tokens {
                for tenant in ["a1", "b1"] {
                    let [istio, own] =
                        ["v1", "v2"].map(|version| ask(version, path, token.as_ref(), tenant));
                    assert_eq!(istio, own, "{action} {rules}: {path} {token:?} {tenant}");
                    seen.insert(istio);
                    compared += 1;
                }
            }
        }
    }
    assert_eq!(seen.into_iter().collect::<Vec<_>>(), [200, 401, 403]);
    println!("{compared} requests decided alike");
}
