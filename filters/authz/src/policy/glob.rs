//! The few regular expressions that Istio builds out of policies, as Envoy would match them.

/// A pattern over whole texts.
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
    /// The pattern of these parts, each a text in which `*` means `.*`, or nothing, which means `.+`.
    pub(crate) fn new(parts: &[Option<&str>]) -> Self {
        let mut pieces = Vec::new();
        for part in parts {
            let Some(text) = part else {
                pieces.extend([Piece::One, Piece::Many]);
                continue;
            };
            pieces.extend(text.bytes().map(|byte| match byte {
                b'*' => Piece::Many,
                byte => Piece::Byte(byte),
            }));
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
    fn stars_are_those_of_the_regular_expression() {
        let namespace = Glob::new(&[Some("*/ns/"), Some("a.b-*"), Some("/*")]);
        assert!(namespace.matches(b"spiffe://td/ns/a.b-c/sa/x"));
        assert!(namespace.matches(b"/ns/a.b-/"));
        assert!(!namespace.matches(b"spiffe://td/ns/axb-c/sa/x"));
        assert!(!namespace.matches(b"spiffe://td/ns/a.b/sa/x"));
        assert!(!namespace.matches(b"spiffe://td/ns/a.b-c"));
        assert!(!namespace.matches(b"spiffe://t\nd/ns/a.b-c/sa/x"));
        let account = Glob::new(&[Some("spiffe://"), None, Some("/ns/n/sa/s")]);
        assert!(account.matches(b"spiffe://td/ns/n/sa/s"));
        assert!(account.matches(b"spiffe://td/more/ns/n/sa/s"));
        assert!(!account.matches(b"spiffe:///ns/n/sa/s"));
        assert!(!account.matches(b"spiffe://td/ns/n/sa/st"));
    }

    #[test]
    fn many_stars_take_no_longer_for_it() {
        let glob = Glob::new(&[Some("*a*a*a*a*a*a*a*a*b")]);
        assert!(!glob.matches(&[b'a'; 4096]));
    }
}
