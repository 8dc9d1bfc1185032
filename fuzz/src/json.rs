//! Changes JSON documents by their parts, and spells them differently.

use serde_json::{Map, Value, json};

use crate::bytes;
use crate::draw::Draw;

/// What could stand anywhere, and is seldom right.
fn oddity(draw: &mut Draw<'_>) -> Value {
    let texts = [
        "",
        " ",
        "*",
        "**",
        "/*",
        "a*b",
        "{x}",
        "/{**}",
        "0s",
        "1h",
        "99999999999h",
        "none",
        "~1",
        "\0",
        "::/0",
        "RS256",
        "HS256",
        "ES512",
    ];
    match draw.below(9) {
        0 => Value::Null,
        1 => json!([]),
        2 => json!({}),
        3 => json!(true),
        4 => json!(*draw.one(&[0_i64, 1, -1, 300, 65536, i64::MAX, i64::MIN])),
        5 => json!(*draw.one(&[0.5, 1e300, -0.0, 1e-300, 18_446_744_073_709_551_615.0])),
        6 => json!(u64::MAX),
        _ => json!(*draw.one(&texts)),
    }
}

/// How many values there are in it, itself among them.
fn size(value: &Value) -> usize {
    1 + match value {
        Value::Array(items) => items.iter().map(size).sum(),
        Value::Object(members) => members.values().map(size).sum(),
        _ => 0,
    }
}

/// The value at a rank among all in it, itself being the first.
fn at(value: &mut Value, rank: usize) -> &mut Value {
    fn find<'a>(value: &'a mut Value, rank: &mut usize) -> Option<&'a mut Value> {
        if *rank == 0 {
            return Some(value);
        }
        *rank -= 1;
        match value {
            Value::Array(items) => items.iter_mut().find_map(|item| find(item, rank)),
            Value::Object(members) => members.values_mut().find_map(|member| find(member, rank)),
            _ => None,
        }
    }
    find(value, &mut { rank }).expect("a rank below its size")
}

/// Makes one change.
pub(crate) fn change(document: &mut Value, draw: &mut Draw<'_>) {
    let all = size(document);
    let (rank, other) = (draw.below(all), draw.below(all));
    let kind = draw.below(8);
    let other = if kind == 0 { at(document, other).clone() } else { Value::Null };
    let here = at(document, rank);
    match (kind, here) {
        (0, here) => *here = other,
        (1, here) => *here = oddity(draw),
        (_, Value::String(text)) => bytes::change_text(text, draw),
        (2 | 3, Value::Array(items)) => {
            let at = draw.below(items.len());
            if at < items.len() {
                items.remove(at);
            }
        }
        (4 | 5, Value::Array(items)) => {
            let copy = if items.is_empty() { oddity(draw) } else { draw.one(items).clone() };
            items.insert(draw.below(items.len() + 1), copy);
        }
        (2 | 3, Value::Object(members)) => {
            if let Some(name) = member(members, draw) {
                members.remove(&name);
            }
        }
        (4, Value::Object(members)) => {
            if let Some(name) = member(members, draw) {
                let value = members.remove(&name).unwrap_or_default();
                let mut name = name;
                bytes::change_text(&mut name, draw);
                members.insert(name, value);
            }
        }
        (5, Value::Object(members)) => {
            let name = [
                "notValues",
                "notPaths",
                "condition",
                "action",
                "dryRun",
                "compat",
                "alg",
                "crit",
                "kid",
                "typ",
                "exp",
                "nbf",
                "use",
            ];
            members.insert((*draw.one(&name)).to_owned(), oddity(draw));
        }
        (_, here) => {
            // Deeper.
            let mut inner = here.take();
            for _ in 0..1 << draw.below(7) {
                inner = json!([inner]);
            }
            *here = inner;
        }
    }
}

fn member(members: &Map<String, Value>, draw: &mut Draw<'_>) -> Option<String> {
    members.keys().nth(draw.below(members.len())).cloned()
}

/// The same document in other words: members from last to first, blanks, every letter of a text escaped.
pub(crate) fn respelt(value: &Value) -> String {
    fn text(text: &str) -> String {
        let escaped: String = text.encode_utf16().map(|unit| format!("\\u{unit:04X}")).collect();
        format!("\"{escaped}\"")
    }
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => format!(" {value}\n"),
        Value::String(string) => text(string),
        Value::Array(items) => {
            format!("[ {}\t]", items.iter().map(respelt).collect::<Vec<_>>().join(" , "))
        }
        Value::Object(members) => {
            let members = members.iter().rev();
            let members =
                members.map(|(name, value)| format!("{} :{}", text(name), respelt(value)));
            format!("{{\r\n{} }}", members.collect::<Vec<_>>().join(","))
        }
    }
}
