//! The few regular expressions that Istio builds out of policies, as Envoy would match them.

/// A pattern over whole texts. As Istio escapes nothing, a full stop of a name stands for any byte.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Glob(Vec<Piece>);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Piece {
    Byte(u8),
    /// `.`
    One,
    /// `.*`
    Many,
}

impl Glob {
    /// The pattern of these parts: each is text in which `*` means `.*`, `+` means `.+`, and a full stop any byte.
    pub(crate) fn new(parts: &[&str]) -> Self {
        let mut pieces = Vec::new();
        for byte in parts.iter().flat_map(|part| part.bytes()) {
            match byte {
                b'*' => pieces.push(Piece::Many),
                b'+' => pieces.extend([Piece::One, Piece::Many]),
                b'.' => pieces.push(Piece::One),
                byte => pieces.push(Piece::Byte(byte)),
            }
        }
        Self(pieces)
    }

    /// Whether the whole text matches, in time proportional to both lengths.
    pub(crate) fn matches(&self, text: &[u8]) -> bool {
        let (mut pieces, mut rest) = (self.0.as_slice(), text);
        let mut retry: Option<(&[Piece], &[u8])> = None;
        loop {
            match (pieces.split_first(), rest.split_first()) {
                (Some((Piece::Many, after)), _) => {
                    retry = Some((after, rest));
                    pieces = after;
                    continue;
                }
                (Some((piece, after)), Some((byte, tail))) if piece.is(*byte) => {
                    (pieces, rest) = (after, tail);
                    continue;
                }
                (None, None) => return true,
                _ => {}
            }
            // The last `.*` takes one byte more.
            let Some((after, [byte, tail @ ..])) = retry else {
                return false;
            };
            // In RE2, `.` is no line feed.
            if *byte == b'\n' {
                return false;
            }
            retry = Some((after, tail));
            (pieces, rest) = (after, tail);
        }
    }
}

impl Piece {
    fn is(self, byte: u8) -> bool {
        match self {
            Self::Byte(own) => own == byte,
            Self::One => byte != b'\n',
            Self::Many => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stars_and_stops_are_those_of_the_regular_expression() {
        let namespace = Glob::new(&["*/ns/", "a.b-*", "/*"]);
        assert!(namespace.matches(b"spiffe://td/ns/axb-c/sa/x"));
        assert!(namespace.matches(b"/ns/a.b-/"));
        assert!(!namespace.matches(b"spiffe://td/ns/a.b/sa/x"));
        assert!(!namespace.matches(b"spiffe://td/ns/a.b-c"));
        let account = Glob::new(&["spiffe://+/ns/", "n", "/sa/", "s"]);
        assert!(account.matches(b"spiffe://td/ns/n/sa/s"));
        assert!(account.matches(b"spiffe://td/more/ns/n/sa/s"));
        assert!(!account.matches(b"spiffe:///ns/n/sa/s"));
        assert!(!account.matches(b"spiffe://td/ns/n/sa/st"));
    }

    #[test]
    fn many_stars_take_no_longer_for_it() {
        let glob = Glob::new(&["*a*a*a*a*a*a*a*a*b"]);
        assert!(!glob.matches(&[b'a'; 4096]));
    }
}
