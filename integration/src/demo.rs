//! The people of the demo, and their tokens.

use std::time::{SystemTime, UNIX_EPOCH};

use cases::Token;
use serde_json::{Map, json};

/// A good token of the demo's issuer for `subject`, valid for an hour.
///
/// # Errors
/// When there is no time, or the key cannot sign.
pub fn token(subject: &str, groups: &[&str]) -> Result<String, String> {
    mint(subject, groups, false)
}

/// As [`token`], with a spoilt signature.
///
/// # Errors
/// As [`token`].
pub fn forged_token(subject: &str, groups: &[&str]) -> Result<String, String> {
    mint(subject, groups, true)
}

fn mint(subject: &str, groups: &[&str], forged: bool) -> Result<String, String> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_err(|error| error.to_string())?;
    let claims = Map::from_iter([
        ("iss".to_owned(), json!("https://demo.example")),
        ("sub".to_owned(), json!(subject)),
        ("groups".to_owned(), json!(groups)),
    ]);
    let key = "es256".to_owned();
    Token { key, header: Map::new(), claims, expires_in: 3600, forged }.mint(now.as_secs())
}
