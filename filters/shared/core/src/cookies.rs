//! Cookies taken out of a request.

use crate::{Edit, HeaderName, Headers};

/// The edit that takes some cookies out and leaves the others, in one line (RFC 9113 §8.2.3); none if there are none of
/// those.
pub fn without(headers: Headers<'_>, is_taken: impl Fn(&[u8]) -> bool) -> Option<Edit> {
    let mut found = false;
    let mut kept: Vec<&[u8]> = Vec::new();
    for pair in headers.copies("cookie").flat_map(|line| line.split(|byte| *byte == b';')) {
        let pair = pair.trim_ascii();
        let name = pair.split(|byte| *byte == b'=').next().unwrap_or_default().trim_ascii();
        if !pair.is_empty() && is_taken(name) {
            found = true;
        } else if !pair.is_empty() {
            kept.push(pair);
        }
    }
    let cookie = HeaderName::literal("cookie");
    match (found, kept.as_slice()) {
        (false, _) => None,
        (true, []) => Some(Edit::Remove(cookie)),
        (true, kept) => Some(Edit::Set(cookie, kept.join(&b"; "[..]))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::HeaderMap;

    #[test]
    fn only_what_is_taken_is_gone() {
        for (lines, left) in [
            (&["t=1"][..], Some("")),
            (&["a=1; t=2;b=3 ", "t; c=t=4"], Some("a=1; b=3; c=t=4")),
            (&["a=1;b=2", "T=1"], None),
            (&[], None),
        ] {
            let map = HeaderMap::from_pairs(lines.iter().map(|line| ("cookie", *line)));
            let edit = without(Headers::new(&map, &[]), |name| name == b"t");
            let value = edit.map(|edit| edit.value().unwrap_or_default().to_vec());
            assert_eq!(value.as_deref(), left.map(str::as_bytes), "{lines:?}");
        }
    }
}
