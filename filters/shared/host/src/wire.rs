//! The encodings of the ABI but header maps: lists, attribute values, two protobuf messages. Pure.

use filter_core::HeaderMap;
use filter_core::matching::Truth;
use filter_core::view::{Kind, Value};

/// The elements of a list that CEL returned. Envoy writes a list as a map whose names (or, in some versions, values)
/// are the elements.
pub(crate) fn list(bytes: Vec<u8>) -> Option<Vec<Vec<u8>>> {
    let map = HeaderMap::parse(bytes)?;
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
        fn no_bytes_break_a_reader(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = verify_signature_result(&bytes);
            let _ = list(bytes.clone());
            prop_assert_eq!(truth(&bytes) == Truth::True, bytes == [1]);
            let _ = value(Kind::Number, bytes);
        }
    }
}
