//! What a job asks of a request's headers, for one configuration, by hand: nothing is allocated, and nothing can be
//! configured but what keeps a compiler from knowing the answer.

#[cfg(feature = "whole")]
use std::cell::Cell;

/// The headers of a map as the proxy writes it (`filter-host`'s `wire` tells how), which must be one.
fn fields(map: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    let word = |at: usize| {
        let bytes = map.get(at..).and_then(|rest| rest.first_chunk());
        bytes.map_or(0, |bytes| u32::from_le_bytes(*bytes) as usize)
    };
    let count = word(0);
    let mut start = 4 + 8 * count;
    (0..count).map(move |field| {
        let (name, value) = (word(4 + 8 * field), word(8 + 8 * field));
        let middle = start + name + 1;
        let pair = (map.get(start..start + name), map.get(middle..middle + value));
        start = middle + value + 1;
        (pair.0.unwrap_or_default(), pair.1.unwrap_or_default())
    })
}

fn header<'a>(map: &'a [u8], sought: &[u8]) -> Option<&'a [u8]> {
    fields(map).find(|(name, _)| *name == sought).map(|(_, value)| value)
}

fn path(map: &[u8]) -> &[u8] {
    let path = header(map, b":path").unwrap_or_default();
    path.split(|byte| *byte == b'?').next().unwrap_or_default()
}

/// What is done, if the route is known: `/checkout/{order}`.
pub(crate) fn operation(map: &[u8]) -> Option<&'static [u8]> {
    let order = path(map).strip_prefix(b"/checkout/")?;
    let is_one = !order.is_empty() && !order.contains(&b'/');
    (is_one && header(map, b":method") == Some(b"GET")).then_some(b"GET /checkout/{order}")
}

/// The tenants that are counted by their names.
#[cfg(feature = "whole")]
pub(crate) const TENANTS: [&[u8]; 8] =
    [b"ada", b"ben", b"eva", b"gina", b"lena", b"otto", b"carl", b"hana"];

/// The place of a tenant among them; behind them, all others have one.
#[cfg(feature = "whole")]
pub(crate) fn tenant(name: &[u8]) -> usize {
    TENANTS.iter().position(|known| *known == name).unwrap_or(TENANTS.len())
}

/// The name of what is at a place.
#[cfg(feature = "whole")]
pub(crate) fn tenant_name(place: usize) -> &'static [u8] {
    TENANTS.get(place).copied().unwrap_or(b"others")
}

/// How many exchanges are noted at most.
#[cfg(feature = "whole")]
pub(crate) const PLACES: usize = 256;

/// Notes an exchange in its place.
#[cfg(feature = "whole")]
pub(crate) fn note(noted: &Cell<[u32; PLACES]>, context: u32) {
    if let Some(place) = noted.as_array_of_cells().get(context as usize % PLACES) {
        place.set(context);
    }
}

/// Whether an exchange is noted.
#[cfg(feature = "whole")]
pub(crate) fn is_noted(noted: &Cell<[u32; PLACES]>, context: u32) -> bool {
    noted
        .as_array_of_cells()
        .get(context as usize % PLACES)
        .is_some_and(|place| place.get() == context)
}

/// Which version a user gets, of whom so many of a million get the second one, and why, as it is published.
pub(crate) fn variant(map: &[u8], share: u32) -> Option<&'static [u8]> {
    if !path(map).starts_with(b"/checkout") {
        return None;
    }
    let hash = murmur3(b"checkout", header(map, b"x-user")?);
    let place = (u64::from(hash) * 1_000_000) >> 32;
    Some(if place < u64::from(share) { b"bucket:checkout=v2" } else { b"stable:checkout=v1" })
}

/// `MurmurHash3_x86_32` of a salt and a key, without a seed.
fn murmur3(salt: &[u8], key: &[u8]) -> u32 {
    let mix = |word: u32| word.wrapping_mul(0xcc9e_2d51).rotate_left(15).wrapping_mul(0x1b87_3593);
    let mut hash = 0_u32;
    let (mut word, mut held, mut length) = (0_u32, 0_u32, 0_u32);
    for byte in salt.iter().chain(key) {
        word |= u32::from(*byte) << (8 * held);
        (held, length) = (held + 1, length + 1);
        if held == 4 {
            hash = (hash ^ mix(word)).rotate_left(13).wrapping_mul(5).wrapping_add(0xe654_6b64);
            (word, held) = (0, 0);
        }
    }
    hash ^= mix(word) ^ length;
    hash = (hash ^ (hash >> 16)).wrapping_mul(0x85eb_ca6b);
    hash = (hash ^ (hash >> 13)).wrapping_mul(0xc2b2_ae35);
    hash ^ (hash >> 16)
}

/// How many tokens are known, and how long they are at most.
pub(crate) const KNOWN: usize = 64;
const TOKEN: usize = 1024;

/// A token that was seen.
#[derive(Clone, Copy)]
pub(crate) struct Token {
    bytes: [u8; TOKEN],
    length: usize,
}

impl Token {
    pub(crate) const NONE: Self = Self { bytes: [0; TOKEN], length: 0 };
}

/// Whether a request has a token that is known by now, and is for one of ten things.
pub(crate) fn is_admitted(map: &[u8], known: &mut [Token; KNOWN]) -> bool {
    let value = header(map, b"authorization").unwrap_or_default();
    let Some(token) = value.strip_prefix(b"Bearer ").filter(|token| token.len() <= TOKEN) else {
        return false;
    };
    let Some([.., second, last]) = token.last_chunk::<2>() else { return false };
    let Some(place) = known.get_mut(usize::from(second ^ last) % KNOWN) else { return false };
    if place.bytes.get(..place.length).is_none_or(|held| !is_same(held, token)) {
        // The first time, somebody else would look at its signature.
        place.length = token.len();
        place.bytes.iter_mut().zip(token).for_each(|(to, from)| *to = *from);
    }
    let prefixes: [&[u8]; 10] = [
        b"/service-1/",
        b"/service-2/",
        b"/service-3/",
        b"/service-4/",
        b"/service-5/",
        b"/service-6/",
        b"/service-7/",
        b"/service-8/",
        b"/service-9/",
        b"/checkout/",
    ];
    let path = path(map);
    header(map, b":method") == Some(b"GET")
        && prefixes.iter().any(|prefix| path.starts_with(prefix))
}

/// By words, as comparing slices goes byte by byte in WebAssembly.
fn is_same(one: &[u8], other: &[u8]) -> bool {
    let ((words, rest), (others, tail)) = (one.as_chunks::<8>(), other.as_chunks::<8>());
    let word = |bytes: &[u8; 8]| u64::from_le_bytes(*bytes);
    words.len() == others.len()
        && rest == tail
        && words.iter().zip(others).all(|(one, other)| word(one) == word(other))
}
