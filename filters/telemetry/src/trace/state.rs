//! The header `tracestate`: whether it goes on, and what of it.

use super::context::trim;

/// How many members the list may have (W3C Trace Context level 2 §3.3.1.3).
const MAX_MEMBERS: usize = 32;
/// Members longer than this are the first to go where there is not room for all (§3.3.3).
const LONG: usize = 128;

/// The list to send on, all lines as one; `None` if there is none, or one that is not valid: then no part of it is
/// believed. Of several members with one key the first stays, as that is the last one written. Of more than `room` bytes,
/// whole members are left out: long ones first, then from the end.
pub(crate) fn carried<'a>(
    lines: impl Iterator<Item = &'a [u8]>,
    room: Option<usize>,
) -> Option<Vec<u8>> {
    let mut members: Vec<(&[u8], &[u8])> = Vec::new();
    let mut count = 0_usize;
    for member in lines.flat_map(|line| line.split(|byte| *byte == b',')) {
        let member = trim(member);
        if member.is_empty() {
            continue;
        }
        count = count.saturating_add(1);
        let (key, value) = parse(member)?;
        if count > MAX_MEMBERS {
            return None;
        }
        if members.iter().all(|(other, _)| *other != key) {
            members.push((key, value));
        }
    }
    while let Some(room) = room
        && length(&members) > room
    {
        let long = |(key, value): &(&[u8], &[u8])| width(key, value) > LONG;
        let at = members.iter().rposition(long).unwrap_or(members.len().saturating_sub(1));
        members.remove(at);
    }
    let members: Vec<Vec<u8>> =
        members.iter().map(|(key, value)| [*key, b"=", *value].concat()).collect();
    (!members.is_empty()).then(|| members.join(&b','))
}

fn width(key: &[u8], value: &[u8]) -> usize {
    key.len().saturating_add(value.len()).saturating_add(1)
}

fn length(members: &[(&[u8], &[u8])]) -> usize {
    let widths: usize = members.iter().map(|(key, value)| width(key, value)).sum();
    widths.saturating_add(members.len().saturating_sub(1))
}

/// One member (§3.3.1.3): its key, and its value with the spaces that it begins with.
fn parse(member: &[u8]) -> Option<(&[u8], &[u8])> {
    let at = member.iter().position(|byte| *byte == b'=')?;
    let (key, value) = member.split_at_checked(at)?;
    let value = value.get(1..)?;
    let first = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let others = |byte: &u8| first(byte) || b"_-*/@".contains(byte);
    let printable = |byte: &u8| matches!(byte, 0x20..=0x7e) && !b",=".contains(byte);
    let valid = (1..=256).contains(&key.len())
        && key.first().is_some_and(first)
        && key.iter().all(others)
        && (1..=256).contains(&value.len())
        && value.iter().all(printable);
    valid.then_some((key, value))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(lines: &[&str], room: Option<usize>) -> Option<String> {
        carried(lines.iter().map(|line| line.as_bytes()), room)
            .map(|list| String::from_utf8(list).unwrap())
    }

    #[test]
    fn lines_become_one_and_the_first_of_a_key_stays() {
        for (lines, kept) in [
            (&["a=1", "b=2"][..], Some("a=1,b=2")),
            (&["a=1,b=2", "a=3"], Some("a=1,b=2")),
            (&["a=1", "", " , "], Some("a=1")),
            (&["a= 1 "], Some("a= 1")),
            (&[""], None),
            (&[], None),
        ] {
            assert_eq!(list(lines, None).as_deref(), kept, "{lines:?}");
        }
    }

    #[test]
    fn one_bad_member_takes_all_with_it() {
        let long = format!("a={}", "x".repeat(257));
        for bad in ["a", "a=", "=1", "A=1", "_a=1", "a =1", "a=1=2", "a=\u{7f}", "é=1", &long] {
            assert_eq!(list(&["ok=1", bad], None), None, "{bad}");
        }
    }

    #[test]
    fn whole_members_make_room_long_ones_first() {
        let long = format!("l={}", "x".repeat(200));
        let members = ["a=1", &long, "b=2", "c=3"];
        assert_eq!(list(&members, Some(214)).unwrap().len(), 214);
        assert_eq!(list(&members, Some(213)).as_deref(), Some("a=1,b=2,c=3"));
        assert_eq!(list(&members, Some(10)).as_deref(), Some("a=1,b=2"));
        assert_eq!(list(&members, Some(2)), None);
    }
}
