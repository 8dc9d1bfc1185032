//! The headers of one message as they came: the buffer, and where each lies in it.

use std::ops::Range;

use super::Headers;

/// All headers of one message: the buffer they came in and where each field lies in it.
#[derive(Clone, Debug, Default)]
pub struct HeaderMap {
    bytes: Vec<u8>,
    fields: Vec<Field>,
    kinds: Kinds,
}

/// Where one header lies in a [`HeaderMap`]'s buffer.
#[derive(Clone, Debug)]
pub struct Field {
    /// The name's bytes.
    pub name: Range<usize>,
    /// The value's bytes.
    pub value: Range<usize>,
}

impl HeaderMap {
    /// A map over a buffer that is kept as it is. A range that lies outside of it reads as empty.
    #[must_use]
    pub fn new(bytes: Vec<u8>, fields: Vec<Field>) -> Self {
        let names = fields.iter().map(|field| part(&bytes, &field.name));
        let kinds = Kinds::of(names);
        Self { bytes, fields, kinds }
    }

    /// A map of these pairs, in this order.
    pub fn from_pairs<N: AsRef<[u8]>, V: AsRef<[u8]>>(
        pairs: impl IntoIterator<Item = (N, V)>,
    ) -> Self {
        let (mut bytes, mut fields) = (Vec::new(), Vec::new());
        for (name, value) in pairs {
            let start = bytes.len();
            bytes.extend_from_slice(name.as_ref());
            let middle = bytes.len();
            bytes.extend_from_slice(value.as_ref());
            fields.push(Field { name: start..middle, value: middle..bytes.len() });
        }
        Self::new(bytes, fields)
    }

    /// Every field in order: name and value, as bytes.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], &[u8])> + Clone {
        self.fields
            .iter()
            .map(|field| (part(&self.bytes, &field.name), part(&self.bytes, &field.value)))
    }

    /// Every copy of one header, in order.
    pub fn copies<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]> + Clone {
        Headers::new(self, &[]).copies(name)
    }

    /// The buffer.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Its names, told apart coarsely.
    pub(super) fn kinds(&self) -> Kinds {
        self.kinds
    }

    /// The fields among which those of this name are.
    pub(super) fn among(&self, name: &[u8]) -> &[Field] {
        if self.kinds.may_hold(name) { &self.fields } else { &[] }
    }
}

pub(super) fn part<'a>(bytes: &'a [u8], range: &Range<usize>) -> &'a [u8] {
    bytes.get(range.clone()).unwrap_or_default()
}

/// Names, told apart coarsely: by their length and the letters at both ends, whatever their case. Most of the headers that are
/// looked for are not there, and this tells so without a look at those that are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Kinds {
    lengths: u64,
    ends: u64,
}

impl Kinds {
    /// Those of these names.
    #[must_use]
    pub fn of<'a>(names: impl Iterator<Item = &'a [u8]>) -> Self {
        names.fold(Self::default(), |all, name| {
            let one = Self::of_one(name);
            Self { lengths: all.lengths | one.lengths, ends: all.ends | one.ends }
        })
    }

    /// Whether a name may be one of them; if not, it is none of them.
    #[must_use]
    pub fn may_hold(self, name: &[u8]) -> bool {
        self.may_share(Self::of_one(name))
    }

    /// Whether some name may be one of both; if not, none is.
    #[must_use]
    pub fn may_share(self, others: Self) -> bool {
        self.lengths & others.lengths != 0 && self.ends & others.ends != 0
    }

    fn of_one(name: &[u8]) -> Self {
        let ends = match name {
            // These bits are the same in an upper-case and a lower-case letter.
            [first, .., last] => {
                u32::from(first & 0x1f).wrapping_mul(11).wrapping_add(u32::from(last & 0x1f))
            }
            _ => 0,
        };
        let length = u32::try_from(name.len()).unwrap_or(u32::MAX);
        let bit = |number: u32| 1_u64.wrapping_shl(number);
        Self { lengths: bit(length), ends: bit(ends) }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn kinds_lose_no_name_in_whatever_case(
            names in prop::collection::vec("[a-zA-Z0-9:-]{0,70}", 0..9),
            others in prop::collection::vec("[a-zA-Z0-9:-]{0,70}", 0..9),
        ) {
            let kinds = Kinds::of(names.iter().map(String::as_bytes));
            for name in names {
                let among = others.iter().chain([&name]).map(String::as_bytes);
                prop_assert!(kinds.may_share(Kinds::of(among)), "{}", name);
                for spelt in [name.to_ascii_uppercase(), name.to_ascii_lowercase(), name] {
                    prop_assert!(kinds.may_hold(spelt.as_bytes()), "{}", spelt);
                }
            }
        }
    }

    #[test]
    fn most_names_that_are_not_there_are_told_apart() {
        let usual = [
            ":authority",
            ":method",
            ":path",
            ":scheme",
            "user-agent",
            "accept",
            "authorization",
            "x-forwarded-for",
            "x-forwarded-proto",
            "x-request-id",
        ];
        let kinds = Kinds::of(usual.iter().map(|name| name.as_bytes()));
        let absent = [
            "baggage",
            "cookie",
            "content-type",
            "traceparent",
            "tracestate",
            "x-canary-checkout",
            "x-forwarded-client-cert",
            "b3",
            "x-jwt-sub",
            "grpc-timeout",
        ];
        let mistaken = absent.iter().filter(|name| kinds.may_hold(name.as_bytes())).count();
        assert!(mistaken <= 2, "{mistaken} of {}", absent.len());
    }
}
