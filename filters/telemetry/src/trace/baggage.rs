//! The header `baggage` (W3C Baggage): which members go on, and what they say.

use std::collections::BTreeSet;

use super::context::trim;

/// What of the baggage goes on.
#[derive(Debug)]
pub(crate) struct Limits {
    /// The keys that may; `None` for any.
    pub(crate) allow: Option<BTreeSet<Box<[u8]>>>,
    /// How many members.
    pub(crate) members: usize,
    /// How many bytes, commas included.
    pub(crate) bytes: usize,
}

/// One valid member.
#[derive(Clone, Debug)]
pub(crate) struct Member<'a> {
    /// Its key.
    pub(crate) key: &'a [u8],
    value: &'a [u8],
    /// The properties behind the value, from the first semicolon on.
    properties: Option<&'a [u8]>,
}

/// The valid members of all lines, in order. What is not valid is passed over: each stands for itself.
pub(crate) fn members<'a>(
    lines: impl Iterator<Item = &'a [u8]>,
) -> impl Iterator<Item = Member<'a>> {
    lines.flat_map(|line| line.split(|byte| *byte == b',')).filter_map(Member::parse)
}

impl<'a> Member<'a> {
    fn parse(text: &'a [u8]) -> Option<Self> {
        let mut parts = text.splitn(2, |byte| *byte == b';');
        let (pair, properties) = (parts.next()?, parts.next());
        let (key, value) = property(pair)?;
        let (key, value) = token(key).then_some((key, value?))?;
        let mut each = properties.into_iter().flat_map(split);
        each.all(|(key, value)| token(key) && value.is_none_or(octets)).then_some(())?;
        octets(value).then_some(Self { key, value, properties })
    }

    /// What the member says, decoded, on one line and at most 256 bytes: what it is written to may be a log. What is no
    /// UTF-8 is U+FFFD (W3C Baggage §3.3.1.3).
    pub(crate) fn text(&self) -> String {
        let mut bytes = Vec::with_capacity(self.value.len());
        let mut rest = self.value;
        while let Some((byte, tail)) = rest.split_first() {
            let escaped = (*byte == b'%').then(|| tail.split_first_chunk::<2>()).flatten();
            let escaped = escaped.and_then(|(digits, tail)| {
                let number = super::id::any_hex(digits)?;
                Some((u8::try_from(number).ok()?, tail))
            });
            let (byte, tail) = escaped.unwrap_or((*byte, tail));
            bytes.push(byte);
            rest = tail;
        }
        let mut text = String::new();
        for character in String::from_utf8_lossy(&bytes).chars() {
            let shown =
                if character.is_control() { char::REPLACEMENT_CHARACTER } else { character };
            if text.len().saturating_add(shown.len_utf8()) > MAX_TEXT {
                break;
            }
            text.push(shown);
        }
        text
    }

    /// The member without optional white space.
    fn write(&self, list: &mut Vec<u8>) {
        list.extend_from_slice(self.key);
        list.push(b'=');
        list.extend_from_slice(self.value);
        for (key, value) in self.properties.into_iter().flat_map(split) {
            list.push(b';');
            list.extend_from_slice(key);
            if let Some(value) = value {
                list.push(b'=');
                list.extend_from_slice(value);
            }
        }
    }
}

/// How long a member's text may be, in bytes.
const MAX_TEXT: usize = 256;

impl Limits {
    /// The list to send on, all lines as one; `None` if nothing is left. A member that there is no room for is left out
    /// whole.
    pub(crate) fn carried<'a>(&self, lines: impl Iterator<Item = &'a [u8]>) -> Option<Vec<u8>> {
        let mut list = Vec::new();
        let mut count = 0_usize;
        for member in members(lines) {
            if count >= self.members {
                break;
            }
            if self.allow.as_ref().is_some_and(|allow| !allow.contains(member.key)) {
                continue;
            }
            let before = list.len();
            if !list.is_empty() {
                list.push(b',');
            }
            member.write(&mut list);
            if list.len() > self.bytes {
                list.truncate(before);
            } else {
                count = count.saturating_add(1);
            }
        }
        (!list.is_empty()).then_some(list)
    }
}

fn split(properties: &[u8]) -> impl Iterator<Item = (&[u8], Option<&[u8]>)> {
    properties.split(|byte| *byte == b';').filter_map(property)
}

/// A key, and a value if there is an equals sign.
fn property(text: &[u8]) -> Option<(&[u8], Option<&[u8]>)> {
    let mut sides = text.splitn(2, |byte| *byte == b'=');
    Some((trim(sides.next()?), sides.next().map(trim)))
}

/// A token (RFC 9110 §5.6.2).
pub(crate) fn token(text: &[u8]) -> bool {
    let allowed = |byte: &u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte);
    !text.is_empty() && text.iter().all(allowed)
}

/// Octets of baggage, in which a percent sign begins an escape.
fn octets(text: &[u8]) -> bool {
    let allowed = |byte: &u8| byte.is_ascii_graphic() && !b"\",;\\".contains(byte);
    let mut escapes = text.split(|byte| *byte == b'%').skip(1);
    let escape = |rest: &[u8]| {
        rest.split_first_chunk::<2>()
            .is_some_and(|(digits, _)| digits.iter().all(u8::is_ascii_hexdigit))
    };
    text.iter().all(allowed) && escapes.all(escape)
}
