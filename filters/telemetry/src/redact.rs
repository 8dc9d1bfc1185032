//! What of a request may be shown: its path with secret values taken out, the scheme of its credentials, the names of its
//! cookies.

use filter_core::matching::StringPattern;
use filter_core::{Headers, Publication};
use serde::Deserialize;

/// What stands for a value that is not shown, as in OpenTelemetry.
const REDACTED: &[u8] = b"REDACTED";

/// The query parameters whose values OpenTelemetry's conventions hide (`url.query`).
const SECRET: [&str; 8] = [
    "X-Amz-Signature",
    "X-Amz-Credential",
    "X-Amz-Security-Token",
    "AWSAccessKeyId",
    "Signature",
    "sig",
    "X-Goog-Signature",
    "access_token",
];

/// The most that is shown of a path or of cookies, in bytes.
const LONGEST: usize = 2048;

/// Something to publish.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub(crate) enum Part {
    /// `path_redacted`: the path as it came, secret values in its query taken out.
    Path,
    /// `authorization_scheme`: the first word of `authorization`.
    AuthorizationScheme,
    /// `cookie_names`: the names of the cookies, in order.
    CookieNames,
}

/// What to publish, and what to hide.
#[derive(Clone, Debug)]
pub(crate) struct Redaction {
    pub(crate) parts: Vec<Part>,
    /// Parameters besides those of [`SECRET`]; in lower case.
    pub(crate) parameters: Vec<StringPattern>,
}

impl Redaction {
    /// What may be shown of a request.
    pub(crate) fn of(&self, request: Headers<'_>) -> Vec<Publication> {
        let shown = |part: &Part| {
            let (name, value) = match part {
                Part::Path => ("path_redacted", Some(self.path(request.path()))),
                Part::AuthorizationScheme => ("authorization_scheme", scheme(request)),
                Part::CookieNames => ("cookie_names", cookies(request)),
            };
            let mut value = value.filter(|value| !value.is_empty())?;
            value.truncate(LONGEST);
            Some(Publication { name, value })
        };
        self.parts.iter().filter_map(shown).collect()
    }

    fn path(&self, path: &[u8]) -> Vec<u8> {
        let mut halves = path.splitn(2, |byte| *byte == b'?');
        let mut shown = halves.next().unwrap_or_default().to_vec();
        let Some(query) = halves.next() else { return shown };
        for (position, pair) in query.split(|byte| matches!(byte, b'&' | b';')).enumerate() {
            shown.push(if position == 0 { b'?' } else { b'&' });
            let mut sides = pair.splitn(2, |byte| *byte == b'=');
            let key = sides.next().unwrap_or_default();
            shown.extend_from_slice(key);
            if let Some(value) = sides.next() {
                shown.push(b'=');
                shown.extend_from_slice(if self.hides(key) { REDACTED } else { value });
            }
        }
        shown
    }

    fn hides(&self, key: &[u8]) -> bool {
        // An escaped name could be any.
        key.contains(&b'%')
            || SECRET.iter().any(|secret| secret.as_bytes().eq_ignore_ascii_case(key))
            || self.parameters.iter().any(|pattern| pattern.matches(&key.to_ascii_lowercase()))
    }
}

/// The scheme of the credentials (RFC 9110 §11.4), if it is one: what is no token could be the secret itself.
fn scheme(request: Headers<'_>) -> Option<Vec<u8>> {
    let line = request.copies("authorization").next()?;
    let space = line.iter().position(|byte| *byte == b' ')?;
    let scheme = line.get(..space)?;
    let token = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_".contains(byte);
    (scheme.len() <= 20 && scheme.iter().all(token)).then(|| scheme.to_vec())
}

fn cookies(request: Headers<'_>) -> Option<Vec<u8>> {
    let pairs = request.copies("cookie").flat_map(|line| line.split(|byte| *byte == b';'));
    // A pair without `=` is a value without a name.
    let names = pairs.filter_map(|pair| {
        let end = pair.iter().position(|byte| *byte == b'=')?;
        pair.get(..end).map(<[u8]>::trim_ascii)
    });
    let names: Vec<&[u8]> = names.filter(|name| !name.is_empty()).collect();
    (!names.is_empty()).then(|| names.join(&b","[..]))
}

#[cfg(test)]
mod tests {
    use filter_core::HeaderMap;

    use super::*;

    fn shown(part: Part, headers: &[(&str, &str)]) -> Option<String> {
        let parameters = vec![StringPattern::parse("*token").unwrap()];
        let redaction = Redaction { parts: vec![part], parameters };
        let map = HeaderMap::from_pairs(headers.iter().copied());
        let published = redaction.of(Headers::new(&map, &[])).into_iter().next()?;
        Some(String::from_utf8(published.value).unwrap())
    }

    #[test]
    fn secret_values_are_taken_out_of_the_query() {
        for (path, expected) in [
            ("/a", "/a"),
            ("/a?b=c&d", "/a?b=c&d"),
            ("/a?sig=x&b=SIG", "/a?sig=REDACTED&b=SIG"),
            ("/a?SIG=x", "/a?SIG=REDACTED"),
            ("/a?my_Token=x=y&b=1", "/a?my_Token=REDACTED&b=1"),
            ("/a?b=1;sig=x", "/a?b=1&sig=REDACTED"),
            ("/a?s%69g=x", "/a?s%69g=REDACTED"),
            ("/a?sig", "/a?sig"),
            ("/a?", "/a?"),
        ] {
            assert_eq!(shown(Part::Path, &[(":path", path)]).as_deref(), Some(expected), "{path}");
        }
    }

    #[test]
    fn of_credentials_the_scheme_alone_is_shown() {
        for (value, expected) in
            [("Bearer abc", Some("Bearer")), ("abc", None), ("", None), ("a.b.c d", None)]
        {
            let found = shown(Part::AuthorizationScheme, &[("authorization", value)]);
            assert_eq!(found.as_deref(), expected, "{value}");
        }
        assert_eq!(shown(Part::AuthorizationScheme, &[]), None);
    }

    #[test]
    fn of_cookies_the_names_alone_are_shown() {
        let lines = [("cookie", "a=1; b=x=y; secret"), ("cookie", "c=3")];
        assert_eq!(shown(Part::CookieNames, &lines).as_deref(), Some("a,b,c"));
        assert_eq!(shown(Part::CookieNames, &[("cookie", "secret")]), None);
    }
}
