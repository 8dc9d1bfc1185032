//! Sets of bytes, as every byte of a request's path and host is looked up in one.

/// A set of bytes, as a table.
pub(crate) struct ByteSet([bool; 256]);

impl ByteSet {
    /// A range, both ends included, and some others.
    #[expect(
        clippy::indexing_slicing,
        reason = "a byte is less than 256, and constants are made by the compiler"
    )]
    pub(crate) const fn of((first, last): (u8, u8), others: &[u8]) -> Self {
        let mut table = [false; 256];
        let mut byte = first as usize;
        while byte <= last as usize {
            table[byte] = true;
            byte += 1;
        }
        let mut rest = others;
        while let [byte, tail @ ..] = rest {
            table[*byte as usize] = true;
            rest = tail;
        }
        Self(table)
    }

    /// Whether a byte is in it.
    pub(crate) fn contains(&self, byte: u8) -> bool {
        self.0.get(usize::from(byte)).is_some_and(|is_in| *is_in)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_holds_its_range_and_the_others() {
        const SET: ByteSet = ByteSet::of((b'b', b'd'), b"\xffz");
        let members: Vec<u8> = (0..=255).filter(|byte| SET.contains(*byte)).collect();
        assert_eq!(members, b"bcdz\xff");
    }
}
