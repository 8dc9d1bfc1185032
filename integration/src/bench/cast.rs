//! Who asks and for what, and how much of it there is: what all scenarios have in common.

/// The header that says which version a user gets.
pub(crate) const VERSION_HEADER: &str = "x-canary-checkout";
/// The header that says who the user is.
pub(crate) const USER: &str = "x-user";
/// The header by whose value requests are limited.
pub(crate) const API_KEY: &str = "x-api-key";
/// The header that authz makes of the claim `sub`.
pub(crate) const SUBJECT: &str = "x-jwt-sub";
/// The issuer of all tokens.
pub(crate) const ISSUER: &str = "https://demo.example";
/// The routes that telemetry knows.
pub(crate) const TEMPLATES: [&str; 3] = ["/search", "/admin/{page}", "/checkout/{order}"];
/// How many of a hundred users get version 2.
pub(crate) const SHARE: u32 = 25;
/// The status of version 1.
pub(crate) const V1: u16 = 200;
/// The status of version 2.
pub(crate) const V2: u16 = 202;

/// Somebody who asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct User {
    pub(crate) name: &'static str,
    /// The status of the version that this user gets.
    pub(crate) version: u16,
}

/// Eight users about whom canary's hash and Envoy's agree.
pub(crate) const USERS: [User; 8] = [
    User { name: "ada", version: V1 },
    User { name: "ben", version: V1 },
    User { name: "eva", version: V1 },
    User { name: "gina", version: V1 },
    User { name: "lena", version: V1 },
    User { name: "otto", version: V1 },
    User { name: "carl", version: V2 },
    User { name: "hana", version: V2 },
];

/// The API key of a user.
pub(crate) fn api_key(user: &str) -> String {
    format!("key-of-{user}")
}

/// A token bucket for each API key.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bucket {
    pub(crate) name: &'static str,
    pub(crate) tokens: u32,
    pub(crate) interval: &'static str,
}

/// More than can be asked for.
pub(crate) const PLENTY: Bucket = Bucket { name: "plenty", tokens: 1_000_000_000, interval: "1s" };
/// So little that the warm-up uses it up, for a day.
pub(crate) const DROUGHT: Bucket = Bucket { name: "drought", tokens: 1, interval: "86400s" };
