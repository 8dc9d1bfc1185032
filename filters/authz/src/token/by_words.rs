//! Tokens are long, and gone through by eight bytes at a time: in WebAssembly, comparing slices goes byte by byte, and the
//! search for a byte that slices have is long itself.

/// Whether two texts are the same.
pub(super) fn is_same(one: &[u8], other: &[u8]) -> bool {
    let ((words, rest), (others, other_rest)) = (one.as_chunks::<8>(), other.as_chunks::<8>());
    let word = |bytes: &[u8; 8]| u64::from_le_bytes(*bytes);
    words.len() == others.len()
        && rest == other_rest
        && words.iter().zip(others).all(|(one, other)| word(one) == word(other))
}

/// Whether a text has this byte.
pub(super) fn has(text: &[u8], byte: u8) -> bool {
    let (words, rest) = text.as_chunks::<8>();
    let sought = u64::from_le_bytes([byte; 8]);
    words.iter().any(|word| has_zero(u64::from_le_bytes(*word) ^ sought)) || rest.contains(&byte)
}

/// Whether one of the bytes of a word is zero. Only such a byte gains its highest bit when one is taken from each, or
/// one above it, by a borrow.
fn has_zero(word: u64) -> bool {
    let ones = u64::from_le_bytes([0x01; 8]);
    let highs = u64::from_le_bytes([0x80; 8]);
    word.wrapping_sub(ones) & !word & highs != 0
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn by_words_and_by_bytes_say_the_same(
            // Bytes by whose neighbours and highest bits a search by words could be misled.
            one in prop::collection::vec(prop::sample::select(b"\x00\x01,-\x2b\x80\xac\xff".as_slice()), 0..40),
            at in any::<prop::sample::Index>(),
            byte in prop::sample::select(b"\x00\x01,-\x80\xac\xff".as_slice()),
        ) {
            prop_assert_eq!(has(&one, byte), one.contains(&byte));
            let mut other = one.clone();
            if !other.is_empty() {
                let at = at.index(other.len());
                other[at] = byte;
            }
            prop_assert_eq!(is_same(&one, &other), one == other);
            prop_assert!(!is_same(&one, &[one.as_slice(), b"x"].concat()));
        }
    }
}
