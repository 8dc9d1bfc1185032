//! Policies as people write them for Istio, made up.

use serde_json::{Map, Value, json};

use crate::random::Random;

/// The issuers of tokens.
pub(crate) const ISSUER: &str = "https://issuer.example";
pub(crate) const OTHER_ISSUER: &str = "https://other.example/realm";

const HOSTS: &[&str] =
    &["shop.example", "shop.example:8080", "*.shop.example", "api.*", "*", "SHOP.example"];
const METHODS: &[&str] = &["GET", "POST", "P*", "*T", "*"];
const PATHS: &[&str] = &[
    "/",
    "/orders",
    "/orders/*",
    "/orders/7",
    "*.js",
    "*",
    "/admin*",
    "/orders/{*}",
    "/{**}/history",
    "/orders/{*}/history",
    "/files/{**}",
    "/store/{**}/cart",
    "/admin/*",
];
const PRINCIPALS: &[&str] = &[
    "td.example/ns/shop/sa/cart",
    "td.example/ns/shop/*",
    "*/sa/cart",
    "*",
    "other/ns/shop/sa/cart",
    "td.example/ns/pay/sa/pay.v1",
];
const NAMESPACES: &[&str] = &["shop", "pay", "sh*", "*ay", "*"];
const ACCOUNTS: &[&str] = &["shop/cart", "pay/pay.v1", "pay/pay-v1", "cart"];
const TRUST_DOMAINS: &[&str] = &["td.example", "other", "td*", "*"];
const BLOCKS: &[&str] =
    &["10.0.0.0/8", "10.1.2.3", "192.168.0.0/16", "2001:db8::/32", "127.0.0.0/8"];
const REQUEST_PRINCIPALS: &[&str] = &[
    "https://issuer.example/alice",
    "https://issuer.example/*",
    "https://other.example/realm/*",
    "*",
    "*/alice",
    "https://issuer.example/al*",
    "*alice",
    "https://*",
    "https://issuer.example/a/b",
];
const ROLES: &[&str] = &["admin", "ad*", "*min", "user", "*"];
const GROUPS: &[&str] = &["admin", "team-*", "*-blue", "*", "true", "3"];
const SCOPES: &[&str] = &["read", "write", "wr*", "*"];
const PORTS: &[&str] = &["1", "8080"];
const NAMES: &[&str] = &["shop.example", "*.example", "*"];

/// What a set of policies may ask about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Bed {
    /// Plain connections: addresses, ports.
    Plain,
    /// Certificates and server names.
    Secured,
}

/// Policies in Istio's words, for our filter and for the translator.
pub(crate) fn policies(random: &mut Random, bed: Bed) -> Vec<Value> {
    let count = 1 + random.below(3);
    let policies = (0..count).map(|index| {
        let action = if random.percent(50) { "ALLOW" } else { "DENY" };
        let rules: Vec<Value> = (0..=random.below(2)).map(|_| rule(random, bed)).collect();
        json!({"name": format!("p{index}"), "namespace": "shop", "action": action, "rules": rules})
    });
    policies.collect()
}

fn rule(random: &mut Random, bed: Bed) -> Value {
    let mut rule = Map::new();
    if random.percent(75) {
        let to = (0..=random.below(2)).map(|_| json!({"operation": operation(random, bed)}));
        rule.insert("to".to_owned(), to.collect());
    }
    if random.percent(if bed == Bed::Secured { 75 } else { 40 }) {
        let from = (0..=random.below(2)).map(|_| json!({"source": source(random, bed)}));
        rule.insert("from".to_owned(), from.collect());
    }
    if random.percent(40) {
        let when = (0..=random.below(2)).map(|_| condition(random, bed));
        rule.insert("when".to_owned(), when.collect());
    }
    Value::Object(rule)
}

/// An object of some of these fields, or their `not` twins.
fn fields(random: &mut Random, all: &[(&str, &[&str])]) -> Value {
    let mut object = Map::new();
    while object.is_empty() {
        for (name, values) in all {
            if random.percent(100 / all.len() + 15) {
                object.insert((*name).to_owned(), random.few(values).into());
            }
            if random.percent(10) {
                let (first, rest) = name.split_at(1);
                let name = format!("not{}{rest}", first.to_uppercase());
                object.insert(name, random.few(values).into());
            }
        }
    }
    Value::Object(object)
}

fn operation(random: &mut Random, bed: Bed) -> Value {
    let mut all = vec![("hosts", HOSTS), ("methods", METHODS), ("paths", PATHS)];
    if bed == Bed::Plain && random.percent(15) {
        all.push(("ports", PORTS));
    }
    fields(random, &all)
}

fn source(random: &mut Random, bed: Bed) -> Value {
    match bed {
        Bed::Plain => fields(
            random,
            &[
                ("requestPrincipals", REQUEST_PRINCIPALS),
                ("remoteIpBlocks", BLOCKS),
                ("ipBlocks", BLOCKS),
            ],
        ),
        Bed::Secured => fields(
            random,
            &[
                ("principals", PRINCIPALS),
                ("namespaces", NAMESPACES),
                ("serviceAccounts", ACCOUNTS),
                ("trustDomains", TRUST_DOMAINS),
                ("requestPrincipals", REQUEST_PRINCIPALS),
            ],
        ),
    }
}

fn condition(random: &mut Random, bed: Bed) -> Value {
    let plain: &[(&str, &[&str])] = &[
        ("remote.ip", BLOCKS),
        ("source.ip", BLOCKS),
        ("destination.ip", BLOCKS),
        ("destination.port", PORTS),
    ];
    let secured: &[(&str, &[&str])] = &[
        ("source.principal", PRINCIPALS),
        ("source.namespace", NAMESPACES),
        ("source.serviceAccount", ACCOUNTS),
        ("source.trustDomain", TRUST_DOMAINS),
        ("connection.sni", NAMES),
    ];
    let both: &[(&str, &[&str])] = &[
        ("request.headers[X-Role]", ROLES),
        ("request.headers[x-role]", ROLES),
        ("request.headers[Host]", &["shop.example", "*.example", "*"]),
        ("request.auth.claims[groups]", GROUPS),
        ("request.auth.claims[realm][roles]", GROUPS),
        ("request.auth.claims[scope]", SCOPES),
        ("request.auth.claims[https://x.example/level]", GROUPS),
        ("request.auth.principal", REQUEST_PRINCIPALS),
        ("request.auth.audiences", &["shop", "sh*", "*"]),
        ("request.auth.presenter", &["mobile", "*"]),
    ];
    let own = if bed == Bed::Plain { plain } else { secured };
    let keys = if random.percent(65) { both } else { own };
    let (key, values) = random.one(keys);
    let mut condition = json!({"key": key});
    let twin = if random.percent(75) { "values" } else { "notValues" };
    condition[twin] = random.few(values).into();
    if random.percent(10) {
        condition["notValues"] = random.few(values).into();
    }
    condition
}
