//! The requests, all of one shape, so that every scenario can be compared with every other.

use std::collections::BTreeMap;
use std::time::{SystemTime, UNIX_EPOCH};

use cases::Token;
use serde_json::{Map, json};

use crate::bench::cast::{API_KEY, ISSUER, USER, USERS, User, api_key};

/// Who asks for what, and the status that it must get.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ask {
    method: &'static str,
    user: User,
    credential: Option<Credential>,
    status: u16,
}

/// A token that the user shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Credential {
    /// The key it is signed with.
    key: &'static str,
    /// Which of the user's tokens it is.
    number: usize,
    forged: bool,
}

const USUAL: Credential = Credential { key: "rs256", number: 0, forged: false };

/// One request of every user, with the one token that the user has.
pub(crate) fn everybody(method: &'static str, status: fn(&User) -> u16) -> Vec<Ask> {
    let credential = Some(USUAL);
    USERS.iter().map(|user| Ask { method, user: *user, credential, status: status(user) }).collect()
}

/// So many requests in turn of all users, each with a token of its own, signed by this key.
pub(crate) fn fresh(key: &'static str, count: usize, status: u16) -> Vec<Ask> {
    let ask = |(number, user): (usize, &User)| {
        let credential = Some(Credential { key, number, forged: false });
        Ask { method: "GET", user: *user, credential, status }
    };
    (0..count).zip(USERS.iter().cycle()).map(ask).collect()
}

/// A request without a token, and one with a token that nobody signed.
pub(crate) fn unproven(status: u16) -> [Ask; 2] {
    let [user, ..] = USERS;
    let forged = Credential { forged: true, ..USUAL };
    [None, Some(forged)].map(|credential| Ask { method: "GET", user, credential, status })
}

/// A request as it goes over the wire, and the status that it must get.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// The request.
    pub bytes: Vec<u8>,
    /// The status.
    pub status: u16,
}

/// Writes requests, and mints each token once: signing takes longer than all else here.
#[derive(Debug, Default)]
pub struct Scribe {
    tokens: BTreeMap<(&'static str, Credential), String>,
}

impl Scribe {
    /// The request as it goes over the wire.
    ///
    /// # Errors
    /// When its token cannot be minted.
    pub fn write(&mut self, ask: &Ask) -> Result<Message, String> {
        let (method, user, key) = (ask.method, ask.user.name, api_key(ask.user.name));
        let authorization = match ask.credential {
            Some(credential) => {
                format!("authorization: Bearer {}\r\n", self.token(user, credential)?)
            }
            None => String::new(),
        };
        let request = format!(
            "{method} /checkout/17 HTTP/1.1\r\nhost: demo.example\r\nuser-agent: bench\r\n\
             accept: application/json\r\n{API_KEY}: {key}\r\n{USER}: {user}\r\n{authorization}\r\n"
        );
        Ok(Message { bytes: request.into_bytes(), status: ask.status })
    }

    fn token(&mut self, user: &'static str, credential: Credential) -> Result<&str, String> {
        use std::collections::btree_map::Entry;
        Ok(match self.tokens.entry((user, credential)) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(place) => place.insert(mint(user, credential)?),
        })
    }
}

fn mint(user: &str, credential: Credential) -> Result<String, String> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_err(|error| error.to_string())?;
    let Credential { key, number, forged } = credential;
    let claims = Map::from_iter([
        ("iss".to_owned(), json!(ISSUER)),
        ("sub".to_owned(), json!(user)),
        ("groups".to_owned(), json!(["customers"])),
        ("jti".to_owned(), json!(number.to_string())),
    ]);
    let (key, header) = (key.to_owned(), Map::new());
    Token { key, header, claims, expires_in: 24 * 3600, forged }.mint(now.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_ask_is_always_the_same_message() {
        let mut scribe = Scribe::default();
        let [ask] = fresh("es256", 1, 200)[..] else { panic!("not one") };
        assert_eq!(scribe.write(&ask), scribe.write(&ask));
    }

    #[test]
    fn fresh_tokens_are_all_different() {
        let mut scribe = Scribe::default();
        let asks = fresh("es256", 2 * USERS.len(), 200);
        let mut messages: Vec<_> =
            asks.iter().map(|ask| scribe.write(ask).unwrap().bytes).collect();
        messages.sort_unstable();
        messages.dedup();
        assert_eq!(messages.len(), asks.len());
    }
}
