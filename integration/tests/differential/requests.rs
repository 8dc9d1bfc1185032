//! Requests, made up: such as the policies may be about, and such as are spelled to get around them.

use std::time::{SystemTime, UNIX_EPOCH};

use integration::Request;
use serde_json::{Map, json};

use crate::policies::{ISSUER, OTHER_ISSUER};
use crate::random::Random;

const METHODS: &[&str] = &["GET", "GET", "GET", "POST", "PUT", "DELETE", "OPTIONS"];
const HOSTS: &[&str] = &[
    "shop.example",
    "shop.example",
    "api.shop.example",
    "api.example",
    "SHOP.example",
    "shop.example:8080",
    "shop.example:80",
    "shop.example.",
    "other",
];
const PATHS: &[&str] = &[
    "/",
    "/orders",
    "/orders/",
    "/orders/7",
    "/orders/7/history",
    "/orders/7?x=/admin/",
    "/app.js",
    "/admin",
    "/admin/users",
    "/administrator",
    "/files/",
    "/files/a/b",
    "/files",
    "/store/a/cart",
    "/store/cart",
    "/orders/Products(1)",
    "/orders/7/a/history",
    "/x/history",
    // What templates take, or do not.
    "/orders/a*b",
    "/orders/a|b",
    "/files/a|b",
    "/admin/users#/orders",
];
/// Paths that are spelled to get around policies, and what each comes to, if it comes to one thing.
const SPELLED: &[(&str, Option<&str>)] = &[
    ("//orders/7", Some("/orders/7")),
    ("/orders//history", Some("/orders/history")),
    ("/store//cart", Some("/store/cart")),
    ("/x/../admin/users", Some("/admin/users")),
    ("/%61dmin/users", Some("/admin/users")),
    ("/orders/%2e%2e/admin/users", Some("/admin/users")),
    ("/orders/%7B", Some("/orders/%7B")),
    ("/admin%2fusers", None),
    ("/admin;x/users", None),
    ("/orders\\7", None),
    ("/%zz/history", None),
];
const ROLES: &[&str] =
    &["admin", "user", "Admin", "admin,user", "user, admin", "", "administrator"];
const CLIENTS: &[&str] =
    &["10.1.2.3", "10.9.9.9", "192.168.1.1", "2001:db8::1", "8.8.8.8", "10.1.2.3, 8.8.8.8"];

/// Tokens to choose from, as signing each anew would take most of the time.
pub(crate) fn tokens(random: &mut Random) -> Vec<String> {
    (0..200).map(|_| token(random)).collect()
}

/// A request.
pub(crate) fn request(random: &mut Random, tokens: &[String]) -> Request {
    let path = if random.percent(70) { random.text(PATHS) } else { random.one(SPELLED).0 };
    let mut request = Request::new(random.text(METHODS), path);
    random.text(HOSTS).clone_into(&mut request.host);
    for _ in 0..random.below(3) {
        request = request.with(random.text(&["x-role", "X-Role"]), random.text(ROLES));
    }
    if random.percent(60) {
        request = request.with("x-forwarded-for", random.text(CLIENTS));
    }
    if random.percent(70) {
        let token: &String = random.one(tokens);
        request = request.bearer(token);
    }
    request
}

/// The same request as plainly as it can be written; `None` if servers differ about what it asks for.
pub(crate) fn plainly(request: &Request) -> Option<Request> {
    let mut plain = request.clone();
    if let Some((_, path)) = SPELLED.iter().find(|(path, _)| *path == request.path) {
        (*path)?.clone_into(&mut plain.path);
    }
    let host = request.host.split(':').next().unwrap_or_default();
    host.trim_end_matches('.').clone_into(&mut plain.host);
    Some(plain)
}

fn token(random: &mut Random) -> String {
    let mut claims = Map::new();
    let mut claim = |name: &str, share, values: &[serde_json::Value], random: &mut Random| {
        if random.percent(share) {
            claims.insert(name.to_owned(), random.one(values).clone());
        }
    };
    let groups = [
        json!("admin"),
        json!(["admin", "user"]),
        json!(["team-blue"]),
        json!(true),
        json!(3),
        json!([]),
        json!(""),
        json!({"admin": "admin"}),
        json!([3, "team-x", ["admin"]]),
        json!(null),
    ];
    claim("iss", 100, &[json!(ISSUER), json!(ISSUER), json!(OTHER_ISSUER)], random);
    claim(
        "sub",
        90,
        &[json!("alice"), json!("alice"), json!("bob"), json!("a/b"), json!("malice")],
        random,
    );
    claim("groups", 70, &groups, random);
    claim(
        "realm",
        40,
        &[json!({"roles": ["admin"]}), json!({"roles": "team-x"}), json!(["roles"])],
        random,
    );
    claim(
        "scope",
        50,
        &[json!("read write"), json!("read"), json!("write-all"), json!(["write"]), json!("")],
        random,
    );
    claim("https://x.example/level", 30, &[json!("3"), json!(3), json!(["true"])], random);
    claim("aud", 50, &[json!("shop"), json!(["other", "shop"]), json!([]), json!("x")], random);
    claim("azp", 40, &[json!("mobile"), json!("web")], random);
    let expires = if random.percent(4) { -3600 } else { 3600 };
    let forged = random.percent(3);
    let token = json!({"key": "es256", "claims": claims, "expiresIn": expires, "forged": forged});
    let token: cases::Token = serde_json::from_value(token).unwrap();
    token.mint(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()).unwrap()
}
