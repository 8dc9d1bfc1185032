//! The headers of one message as they came: one buffer, in the proxy's own encoding.

use std::slice;

use super::Headers;

/// All headers of one message, as the proxy writes them: a count, the sizes of each name and value, then the names and
/// values, each ended by a zero byte. All numbers are 32-bit little-endian.
#[derive(Clone, Debug, Default)]
pub struct HeaderMap {
    bytes: Vec<u8>,
    /// Where the sizes end and the first name begins.
    start: usize,
    kinds: Kinds,
}

/// The sizes of a name and of its value.
type Sizes = [[u8; 4]; 2];

/// How many bytes the count takes.
const COUNT: usize = 4;

impl HeaderMap {
    /// The map that these bytes are; nothing at all is one without headers. `None` if they are no map.
    #[must_use]
    pub fn parse(bytes: Vec<u8>) -> Option<Self> {
        if bytes.is_empty() {
            return Some(Self::default());
        }
        let start =
            size(bytes.first_chunk()?).checked_mul(size_of::<Sizes>())?.checked_add(COUNT)?;
        let fields = Fields::of(&bytes, start)?;
        let (mut kinds, mut end) = (Kinds::default(), start);
        for [of_name, of_value] in fields.sizes {
            let name = bytes.get(end..)?.get(..size(of_name))?;
            kinds = kinds.with(name);
            // The name lies in the buffer, so that the value alone can lead further than numbers do.
            let value = end.wrapping_add(name.len()).wrapping_add(1);
            end = value.wrapping_add(1).saturating_add(size(of_value));
        }
        // Each begins behind the one before it, so that all lie in the buffer if the last one does.
        (end <= bytes.len()).then_some(Self { bytes, start, kinds })
    }

    /// A map of these pairs, in this order.
    pub fn from_pairs<N: AsRef<[u8]>, V: AsRef<[u8]>>(
        pairs: impl IntoIterator<Item = (N, V)>,
    ) -> Self {
        let pairs: Vec<(N, V)> = pairs.into_iter().collect();
        Self::parse(encoded(&pairs)).unwrap_or_default()
    }

    /// Every field in order: name and value, as bytes.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], &[u8])> + Clone {
        let fields = self.fields();
        let bytes = fields.bytes;
        fields.map(|field| (field.name(bytes), field.value(bytes)))
    }

    /// Every copy of one header, in order.
    pub fn copies<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]> + Clone {
        Headers::new(self, &[]).copies(name)
    }

    /// Its names, told apart coarsely.
    pub(super) fn kinds(&self) -> Kinds {
        self.kinds
    }

    /// The fields among which those of this name are.
    pub(super) fn among(&self, name: &[u8]) -> Fields<'_> {
        if self.kinds.may_hold(name) { self.fields() } else { Fields::default() }
    }

    fn fields(&self) -> Fields<'_> {
        Fields::of(&self.bytes, self.start).unwrap_or_default()
    }
}

/// These pairs as [`HeaderMap::parse`] reads them.
pub fn encoded<N: AsRef<[u8]>, V: AsRef<[u8]>>(pairs: &[(N, V)]) -> Vec<u8> {
    let number = |length: usize| u32::try_from(length).unwrap_or(u32::MAX).to_le_bytes();
    let parts = || pairs.iter().flat_map(|(name, value)| [name.as_ref(), value.as_ref()]);
    let mut out = number(pairs.len()).to_vec();
    parts().for_each(|part| out.extend(number(part.len())));
    for part in parts() {
        out.extend_from_slice(part);
        out.push(0);
    }
    out
}

fn size(bytes: &[u8; 4]) -> usize {
    usize::try_from(u32::from_le_bytes(*bytes)).unwrap_or(usize::MAX)
}

/// The fields of a map, one after the other.
#[derive(Clone, Default)]
pub(super) struct Fields<'a> {
    bytes: &'a [u8],
    sizes: slice::Iter<'a, Sizes>,
    /// Where the next one begins.
    start: usize,
}

/// Where one header lies in a map's buffer.
pub(super) struct Field {
    start: usize,
    of_name: usize,
    of_value: usize,
}

impl<'a> Fields<'a> {
    /// Those of a buffer in which the first one begins here; `None` if it is not as long as that.
    fn of(bytes: &'a [u8], start: usize) -> Option<Self> {
        let sizes = bytes.get(COUNT..start)?.as_chunks().0.as_chunks().0.iter();
        Some(Self { bytes, sizes, start })
    }

    /// The value of the next one of this name.
    pub(super) fn next_of(&mut self, name: &[u8]) -> Option<&'a [u8]> {
        let bytes = self.bytes;
        self.find(|field| field.is_called(bytes, name)).map(|field| field.value(bytes))
    }
}

impl Iterator for Fields<'_> {
    type Item = Field;

    fn next(&mut self) -> Option<Field> {
        let [of_name, of_value] = self.sizes.next()?;
        let field = Field { start: self.start, of_name: size(of_name), of_value: size(of_value) };
        // In a map that was parsed, this never wraps.
        self.start = field.value_start().wrapping_add(field.of_value).wrapping_add(1);
        Some(field)
    }
}

impl Field {
    fn value_start(&self) -> usize {
        self.start.wrapping_add(self.of_name).wrapping_add(1)
    }

    fn name<'a>(&self, bytes: &'a [u8]) -> &'a [u8] {
        part(bytes, self.start, self.of_name)
    }

    fn value<'a>(&self, bytes: &'a [u8]) -> &'a [u8] {
        part(bytes, self.value_start(), self.of_value)
    }

    /// Whether it has this name. By their lengths most are told apart without a look at them, and proxies write names in
    /// lower case.
    fn is_called(&self, bytes: &[u8], name: &[u8]) -> bool {
        self.of_name == name.len() && {
            let own = self.name(bytes);
            own == name || own.eq_ignore_ascii_case(name)
        }
    }
}

fn part(bytes: &[u8], start: usize, length: usize) -> &[u8] {
    bytes.get(start..).and_then(|rest| rest.get(..length)).unwrap_or_default()
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
        names.fold(Self::default(), Self::with)
    }

    /// These and that of this name.
    fn with(self, name: &[u8]) -> Self {
        let one = Self::of_one(name);
        Self { lengths: self.lengths | one.lengths, ends: self.ends | one.ends }
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

    #[test]
    fn a_map_is_read_as_the_proxy_writes_it() {
        let bytes = b"\x02\0\0\0\x07\0\0\0\x03\0\0\0\x01\0\0\0\0\0\0\0:method\0GET\0a\0\0";
        let map = HeaderMap::parse(bytes.to_vec()).unwrap();
        let fields: Vec<_> = map.iter().collect();
        assert_eq!(fields, [(&b":method"[..], &b"GET"[..]), (b"a", b"")]);
        assert_eq!(encoded(&[(":method", "GET"), ("a", "")]), bytes);
        assert!(HeaderMap::parse(Vec::new()).unwrap().iter().next().is_none());
    }

    #[test]
    fn sizes_that_lead_out_of_the_buffer_are_refused() {
        let one = |of_name: u32, of_value: u32, rest: &[u8]| {
            let numbers = [1, of_name, of_value].map(u32::to_le_bytes).concat();
            HeaderMap::parse([numbers.as_slice(), rest].concat())
        };
        assert!(one(1, 2, b"a\0bc\0").is_some());
        for (of_name, of_value) in
            [(1, 3), (2, 2), (9, 0), (u32::MAX, 4), (1, u32::MAX), (2, u32::MAX)]
        {
            assert!(one(of_name, of_value, b"a\0bc\0").is_none(), "{of_name} {of_value}");
        }
    }

    proptest! {
        #[test]
        fn whatever_was_written_is_read(fields in prop::collection::vec(("[ -~]{0,9}", prop::collection::vec(any::<u8>(), 0..9)), 0..9)) {
            let map = HeaderMap::parse(encoded(&fields)).unwrap();
            let read: Vec<_> = map.iter().collect();
            let given: Vec<_> = fields.iter().map(|(name, value)| (name.as_bytes(), value.as_slice())).collect();
            prop_assert_eq!(read, given);
        }

        #[test]
        fn no_bytes_break_a_map(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            if let Some(map) = HeaderMap::parse(bytes) {
                prop_assert!(map.iter().count() <= 25);
            }
        }

        #[test]
        fn a_count_that_lies_is_refused(count in 3_u32.., tail in prop::collection::vec(any::<u8>(), 0..16)) {
            let bytes = [&count.to_le_bytes()[..], &tail].concat();
            prop_assert!(HeaderMap::parse(bytes).is_none());
        }

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
