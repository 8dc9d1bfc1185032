//! The requests, all of one shape, so that every scenario can be compared with every other.

use std::time::{SystemTime, UNIX_EPOCH};

use cases::Token;
use serde_json::{Map, json};

use crate::bench::scenarios::{API_KEY, ISSUER, USER, USERS, User, api_key};

/// A request as it goes over the wire, and the status that it must get.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ask {
    /// The request.
    pub request: Vec<u8>,
    /// The status.
    pub status: u16,
}

impl Ask {
    pub(crate) fn new(method: &str, token: Option<&str>, user: &User, status: u16) -> Self {
        let (user, key) = (user.name, api_key(user.name));
        let authorization =
            token.map(|token| format!("authorization: Bearer {token}\r\n")).unwrap_or_default();
        let request = format!(
            "{method} /checkout/17 HTTP/1.1\r\nhost: demo.example\r\nuser-agent: bench\r\n\
             accept: application/json\r\n{API_KEY}: {key}\r\n{USER}: {user}\r\n{authorization}\r\n"
        );
        Self { request: request.into_bytes(), status }
    }
}

/// All users, each with a token.
#[derive(Clone, Debug)]
pub(crate) struct Crowd {
    tokens: Vec<String>,
}

impl Crowd {
    /// Mints a token for each.
    pub(crate) fn gather() -> Result<Self, String> {
        let tokens = (0..).zip(USERS).map(|(number, user)| mint("rs256", &user, number, false));
        Ok(Self { tokens: tokens.collect::<Result<_, _>>()? })
    }

    /// One request of each.
    pub(crate) fn ask(&self, method: &str, status: impl Fn(&User) -> u16) -> Vec<Ask> {
        let pairs = USERS.iter().zip(&self.tokens);
        pairs.map(|(user, token)| Ask::new(method, Some(token), user, status(user))).collect()
    }
}

/// So many requests, each with a token of its own, signed by this key.
pub(crate) fn each_with_a_token(key: &str, count: u32, status: u16) -> Result<Vec<Ask>, String> {
    let users = USERS.iter().cycle();
    let ask = |(number, user): (u32, &User)| {
        Ok(Ask::new("GET", Some(&mint(key, user, number, false)?), user, status))
    };
    (0..count).zip(users).map(ask).collect()
}

/// One request of a user whose token is nobody's.
pub(crate) fn forged(user: &User, status: u16) -> Result<Ask, String> {
    Ok(Ask::new("GET", Some(&mint("rs256", user, 0, true)?), user, status))
}

fn mint(key: &str, user: &User, number: u32, forged: bool) -> Result<String, String> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_err(|error| error.to_string())?;
    let claims = Map::from_iter([
        ("iss".to_owned(), json!(ISSUER)),
        ("sub".to_owned(), json!(user.name)),
        ("groups".to_owned(), json!(["customers"])),
        ("jti".to_owned(), json!(number.to_string())),
    ]);
    let header = Map::new();
    Token { key: key.to_owned(), header, claims, expires_in: 24 * 3600, forged }.mint(now.as_secs())
}
