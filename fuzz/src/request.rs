//! Makes up requests out of those of the corpus.

use crate::bytes;
use crate::corpus::{GOOD, Lines};
use crate::draw::Draw;

/// Headers that somebody reads.
const NAMES: [&str; 26] = [
    "authorization",
    "cookie",
    "host",
    "x-forwarded-for",
    "content-type",
    "x-user",
    "X-User",
    "x-jwt-sub",
    "X-Jwt-Sub",
    "x-payload",
    "x-token",
    "x-kept",
    "x-session",
    "x-canary-shop",
    "X-CANARY-SHOP",
    "x-authz",
    "uid",
    ":path",
    ":authority",
    ":method",
    "x-api-key",
    "baggage",
    "Baggage",
    "traceparent",
    "x-preview",
    "",
];

/// Changes a request a few times.
pub(crate) fn change(lines: &mut Lines, owned: &[String], draw: &mut Draw<'_>) {
    for _ in 0..draw.below(9) {
        let at = draw.below(lines.len());
        match draw.below(8) {
            // The first three lines are the method, the path and the host.
            0 => bytes::change(&mut lines[1].1, draw),
            1 => bytes::change(&mut lines[at].1, draw),
            2 => {
                let name = match draw.once_in(4) {
                    true if !owned.is_empty() => draw.one(owned).as_str(),
                    _ => draw.one(&NAMES),
                };
                let value = value(draw);
                lines.push((name.as_bytes().to_vec(), value));
            }
            3 if at > 2 => drop(lines.remove(at)),
            4 => lines.push(lines[at].clone()),
            5 if at > 2 => bytes::change(&mut lines[at].0, draw),
            6 => {
                let whole = draw.bytes(64);
                lines[draw.below(3)].1 = whole;
            }
            _ => {
                let param = *draw.one(&["?access_token=", "&access_token=", "?jwt=", "&kept="]);
                lines[1].1.extend_from_slice(param.as_bytes());
                lines[1].1.extend(value(draw));
            }
        }
    }
}

fn value(draw: &mut Draw<'_>) -> Vec<u8> {
    match draw.below(6) {
        0 => draw.bytes(64),
        1 => b"admin".to_vec(),
        2 => draw.one(&GOOD).clone().into_bytes(),
        3 => format!("Bearer {}", draw.one(&GOOD)).into_bytes(),
        4 => format!("session={}; kept={}", draw.one(&GOOD), draw.one(&GOOD)).into_bytes(),
        _ => {
            let mut token = draw.one(&GOOD).clone().into_bytes();
            bytes::change(&mut token, draw);
            token
        }
    }
}
