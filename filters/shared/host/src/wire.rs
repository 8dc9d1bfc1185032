//! The encodings of the ABI: header maps and lists, attribute values, two protobuf messages. Pure.

use filter_core::headers::{Field, HeaderMap};
use filter_core::matching::Truth;
use filter_core::view::{Kind, Value};

/// Reads a header map: a count, the sizes of each name and value, then the names and values, each ended by a zero
/// byte. All numbers are 32-bit little-endian. The bytes stay where they are. `None` if they are no such map.
pub(crate) fn header_map(bytes: Vec<u8>) -> Option<HeaderMap> {
    if bytes.is_empty() {
        return Some(HeaderMap::default());
    }
    let count = size(bytes.first_chunk()?);
    let sizes_end = count.checked_mul(8)?.checked_add(4)?;
    // Also bounds the vector by what really came.
    if sizes_end > bytes.len() {
        return None;
    }
    let (sizes, _) = bytes.get(4..sizes_end)?.as_chunks::<4>().0.as_chunks::<2>();
    let mut start = sizes_end;
    let field = |[of_name, of_value]: &[[u8; 4]; 2]| {
        let name = start..start.saturating_add(size(of_name));
        let begin = name.end.saturating_add(1);
        let value = begin..begin.saturating_add(size(of_value));
        start = value.end.saturating_add(1);
        Field { name, value }
    };
    let fields = sizes.iter().map(field).collect();
    // Each begins behind the one before it, so that all lie in the buffer if the last one does.
    (start <= bytes.len()).then(|| HeaderMap::new(bytes, fields))
}

fn size(bytes: &[u8; 4]) -> usize {
    usize::try_from(u32::from_le_bytes(*bytes)).unwrap_or(usize::MAX)
}

/// Writes pairs as [`header_map`] reads them.
pub(crate) fn pairs<'a>(pairs: &[(&'a str, &'a [u8])]) -> Vec<u8> {
    let size = |bytes: &[u8]| u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_le_bytes();
    let mut out = u32::try_from(pairs.len()).unwrap_or(u32::MAX).to_le_bytes().to_vec();
    for (name, value) in pairs {
        out.extend(size(name.as_bytes()));
        out.extend(size(value));
    }
    for (name, value) in pairs {
        for part in [name.as_bytes(), value] {
            out.extend_from_slice(part);
            out.push(0);
        }
    }
    out
}

/// The elements of a list that CEL returned. Envoy writes a list as a map whose names (or, in some versions, values)
/// are the elements.
pub(crate) fn list(bytes: Vec<u8>) -> Option<Vec<Vec<u8>>> {
    let map = header_map(bytes)?;
    Some(
        map.iter()
            .map(|(name, value)| if name.is_empty() { value } else { name }.to_vec())
            .collect(),
    )
}

/// The value that an attribute's bytes are. An empty number is an absent one.
pub(crate) fn value(kind: Kind, bytes: Vec<u8>) -> Option<Value> {
    match kind {
        Kind::Text => Some(Value::Text(bytes)),
        Kind::Number => Some(Value::Number(i64::from_le_bytes(*bytes.first_chunk()?))),
    }
}

/// What a condition yielded, a boolean being one byte.
pub(crate) fn truth(bytes: &[u8]) -> Truth {
    match bytes {
        [0] => Truth::False,
        [1] => Truth::True,
        _ => Truth::Unknown,
    }
}

/// `VerifySignatureArguments` of Envoy (source/extensions/common/wasm/ext/verify_signature.proto).
pub(crate) fn verify_signature_arguments(
    hash: &str,
    key: &[u8],
    signature: &[u8],
    text: &[u8],
) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len().saturating_add(key.len()).saturating_add(600));
    for (tag, bytes) in [(1, hash.as_bytes()), (2, key), (3, signature), (4, text)] {
        out.push((tag << 3) | 2);
        let mut length = bytes.len();
        while length >= 0x80 {
            out.push(u8::try_from(length & 0x7f).unwrap_or_default() | 0x80);
            length >>= 7;
        }
        out.push(u8::try_from(length).unwrap_or_default());
        out.extend_from_slice(bytes);
    }
    out
}

/// `VerifySignatureResult`: whether the signature verified, and what the proxy said if not.
pub(crate) fn verify_signature_result(bytes: &[u8]) -> Option<(bool, &[u8])> {
    let mut verified = false;
    let mut error: &[u8] = &[];
    let mut rest = bytes;
    while let Some((tag, tail)) = rest.split_first() {
        let (number, tail) = varint(tail)?;
        rest = tail;
        match tag {
            0x08 => verified = number == 1,
            0x12 => {
                let (text, tail) = tail.split_at_checked(usize::try_from(number).ok()?)?;
                error = text;
                rest = tail;
            }
            _ => return None,
        }
    }
    Some((verified, error))
}

fn varint(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let mut number = 0_u64;
    for (position, byte) in bytes.iter().enumerate().take(9) {
        number |= u64::from(byte & 0x7f) << (7 * position);
        if byte & 0x80 == 0 {
            return Some((number, bytes.get(position.checked_add(1)?..)?));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_map_is_read_as_the_proxy_writes_it() {
        let bytes = b"\x02\0\0\0\x07\0\0\0\x03\0\0\0\x01\0\0\0\0\0\0\0:method\0GET\0a\0\0";
        let map = header_map(bytes.to_vec()).unwrap();
        let fields: Vec<_> = map.iter().collect();
        assert_eq!(fields, [(&b":method"[..], &b"GET"[..]), (b"a", b"")]);
        assert_eq!(pairs(&[(":method", b"GET"), ("a", b"")]), bytes);
        assert!(header_map(Vec::new()).unwrap().iter().next().is_none());
    }

    #[test]
    fn a_signature_is_asked_for_and_answered_in_protobuf() {
        let long = [b'x'; 200];
        let bytes = verify_signature_arguments("sha256", b"k", b"", &long);
        assert_eq!(bytes[..14], *b"\x0a\x06sha256\x12\x01k\x1a\x00\x22");
        assert_eq!(bytes[14..16], [0xc8, 0x01]);
        assert_eq!(bytes.len(), 16 + 200);
        assert_eq!(verify_signature_result(b"\x08\x01"), Some((true, &b""[..])));
        assert_eq!(verify_signature_result(b"\x12\x02no"), Some((false, &b"no"[..])));
        assert_eq!(verify_signature_result(b""), Some((false, &b""[..])));
        for bad in [
            &b"\x12\x09no"[..],
            b"\x08",
            b"\x18\x01",
            b"\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff",
        ] {
            assert_eq!(verify_signature_result(bad), None);
        }
    }

    proptest! {
        #[test]
        fn whatever_was_written_is_read(fields in prop::collection::vec(("[ -~]{0,9}", prop::collection::vec(any::<u8>(), 0..9)), 0..9)) {
            let given: Vec<(&str, &[u8])> = fields.iter().map(|(name, value)| (name.as_str(), value.as_slice())).collect();
            let map = header_map(pairs(&given)).unwrap();
            let read: Vec<_> = map.iter().collect();
            let given: Vec<_> = given.iter().map(|(name, value)| (name.as_bytes(), *value)).collect();
            prop_assert_eq!(read, given);
        }

        #[test]
        fn no_bytes_break_a_reader(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = verify_signature_result(&bytes);
            let _ = list(bytes.clone());
            prop_assert_eq!(truth(&bytes) == Truth::True, bytes == [1]);
            let _ = value(Kind::Number, bytes.clone());
            if let Some(map) = header_map(bytes) {
                prop_assert!(map.iter().count() <= 25);
            }
        }

        #[test]
        fn a_count_that_lies_is_refused(count in 3_u32.., tail in prop::collection::vec(any::<u8>(), 0..16)) {
            let bytes = [&count.to_le_bytes()[..], &tail].concat();
            prop_assert!(header_map(bytes).is_none());
        }
    }
}
