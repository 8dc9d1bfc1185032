//! Routes that nobody wrote down: a path with what looks like an identifier taken out, learned from requests that ended
//! well.

use filter_core::metrics::LabelValue;

/// The most segments of a path that a template is made of.
const DEEPEST: usize = 8;
/// From this length on a segment without a word's look is an identifier.
const LONG: usize = 20;

/// The template of a canonical path, if it can have one. Each segment that may be an identifier stands for all of its
/// kind, the first that fits:
///
/// - `{int}`: digits alone, unless it is a single one;
/// - `{uuid}`: as RFC 9562 writes them;
/// - `{hex}`: six or more hexadecimal digits, one of them 0 to 9;
/// - `{id}`: with a digit (but not `v1` to `v99`), or of 20 bytes or more, or with anything but letters, digits and
///   `-._`.
pub(crate) fn template(path: &[u8]) -> Option<LabelValue> {
    let path = path.strip_prefix(b"/")?;
    let mut text = String::new();
    for (depth, segment) in path.split(|byte| *byte == b'/').enumerate() {
        if depth >= DEEPEST {
            return None;
        }
        text.push('/');
        text.push_str(shape(segment));
    }
    LabelValue::parse(&text)
}

fn shape(segment: &[u8]) -> &str {
    let digits = segment.iter().filter(|byte| byte.is_ascii_digit()).count();
    let hexadecimal = |segment: &[u8]| segment.iter().all(u8::is_ascii_hexdigit);
    if digits == segment.len() && digits > 1 {
        return "{int}";
    }
    if is_uuid(segment) {
        return "{uuid}";
    }
    if segment.len() >= 6 && digits > 0 && hexadecimal(segment) {
        return "{hex}";
    }
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._".contains(byte);
    let word = segment.len() < LONG
        && segment.iter().all(plain)
        && (digits == 0 || segment.len() == 1 || is_version(segment));
    match std::str::from_utf8(segment) {
        Ok(text) if word => text,
        Ok(_) | Err(_) => "{id}",
    }
}

/// Whether it is like `v1` or `v12`.
fn is_version(segment: &[u8]) -> bool {
    let number = segment.strip_prefix(b"v").unwrap_or_default();
    (1..=2).contains(&number.len()) && number.iter().all(u8::is_ascii_digit)
}

fn is_uuid(segment: &[u8]) -> bool {
    let lengths = segment.split(|byte| *byte == b'-').map(<[u8]>::len);
    lengths.eq([8, 4, 4, 4, 12])
        && segment.iter().all(|byte| byte.is_ascii_hexdigit() || *byte == b'-')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_looks_like_an_identifier_is_taken_out() {
        for (path, expected) in [
            ("/", "/"),
            ("/health", "/health"),
            ("/v1/users/42", "/v1/users/{int}"),
            ("/api/v12/a.b/x_y-z", "/api/v12/a.b/x_y-z"),
            ("/users/7", "/users/7"),
            ("/orders/3f2504e0-4f89-11d3-9a0c-0305e82c3301/items", "/orders/{uuid}/items"),
            ("/commits/deadbeef", "/commits/deadbeef"),
            ("/commits/deadbee5", "/commits/{hex}"),
            ("/a/user-17", "/a/{id}"),
            ("/a/tom@example.com", "/a/{id}"),
            ("/a/abcdefghijklmnopqrstuvw", "/a/{id}"),
            ("/a/%20b", "/a/{id}"),
            ("/a/x=y", "/a/{id}"),
            ("/a/", "/a/"),
        ] {
            assert_eq!(template(path.as_bytes()).unwrap().as_str(), expected, "{path}");
        }
    }

    #[test]
    fn deep_and_long_paths_have_none() {
        assert!(template(b"/a/a/a/a/a/a/a/a").is_some());
        assert_eq!(template(b"/a/a/a/a/a/a/a/a/a"), None);
        let long = "/abcdefghijklmnopqr".repeat(7);
        assert_eq!(template(long.as_bytes()), None);
        assert_eq!(template(b"*"), None);
    }

    proptest! {
        #[test]
        fn a_template_is_its_own_shape_or_a_variable(path in prop::collection::vec(any::<u8>(), 0..60)) {
            let path = [b"/", &path[..]].concat();
            if let Some(template) = template(&path) {
                let (given, made) = (path.split(|byte| *byte == b'/'), template.as_str().split('/'));
                for (given, made) in given.zip(made) {
                    prop_assert!(made.as_bytes() == given || made.starts_with('{'), "{made}");
                }
            }
        }
    }
}
