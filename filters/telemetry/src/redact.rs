//! What of a request may be shown: its path with secret values taken out, the scheme of its credentials, the names of its
//! cookies.

use filter_core::matching::{Regex, StringPattern};
use filter_core::query::decoded;
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
    /// Parameters besides those of [`SECRET`]; in lower case, expressions in any.
    pub(crate) parameters: Vec<Pattern>,
    /// What no segment of a path and no value of a parameter may be, as it reads with its escapes resolved.
    pub(crate) values: Vec<Pattern>,
}

/// What is to be hidden.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Pattern {
    /// By string.
    String(StringPattern),
    /// By regular expression.
    Regex(Regex),
}

impl Pattern {
    fn matches(&self, text: &[u8]) -> bool {
        match self {
            Self::String(pattern) => pattern.matches(text),
            Self::Regex(regex) => regex.matches(text),
        }
    }
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
        let mut shown = Vec::new();
        let segments = halves.next().unwrap_or_default().split(|byte| *byte == b'/');
        for (position, segment) in segments.enumerate() {
            shown.extend((position > 0).then_some(b'/'));
            shown.extend_from_slice(self.value(segment));
            // Nobody sees what follows, so that it is not looked at.
            if shown.len() > LONGEST {
                return shown;
            }
        }
        let Some(query) = halves.next() else { return shown };
        for (position, pair) in query.split(|byte| matches!(byte, b'&' | b';')).enumerate() {
            shown.push(if position == 0 { b'?' } else { b'&' });
            let mut sides = pair.splitn(2, |byte| *byte == b'=');
            let key = sides.next().unwrap_or_default();
            match sides.next() {
                None => shown.extend_from_slice(self.value(key)),
                Some(value) => {
                    shown.extend_from_slice(key);
                    shown.push(b'=');
                    let hidden = self.hides(key);
                    shown.extend_from_slice(if hidden { REDACTED } else { self.value(value) });
                }
            }
            if shown.len() > LONGEST {
                return shown;
            }
        }
        shown
    }

    /// A segment or a value, unless it may not be shown.
    fn value<'v>(&self, value: &'v [u8]) -> &'v [u8] {
        let hidden = |pattern: &Pattern| pattern.matches(&decoded(value));
        if self.values.iter().any(hidden) { REDACTED } else { value }
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
    use proptest::prelude::*;

    use super::*;

    fn shown(part: Part, headers: &[(&str, &str)]) -> Option<String> {
        let text = |text| Pattern::String(StringPattern::parse(text).unwrap());
        let regex = |text| Regex::parse(text).unwrap();
        let parameters =
            vec![text("*token"), Pattern::Regex(regex("p(in|ass)[0-9]*").in_any_case().unwrap())];
        let values = vec![text("sk_*"), Pattern::Regex(regex("[^@]+@[^@]+|[0-9]{13,19}"))];
        let redaction = Redaction { parts: vec![part], parameters, values };
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
            ("/a?PIN1=x&spin=y&pass=z", "/a?PIN1=REDACTED&spin=y&pass=REDACTED"),
        ] {
            assert_eq!(shown(Part::Path, &[(":path", path)]).as_deref(), Some(expected), "{path}");
        }
    }

    #[test]
    fn values_that_must_not_be_seen_are_taken_out_wherever_they_are() {
        for (path, expected) in [
            ("/users/ann@x.example/orders/7", "/users/REDACTED/orders/7"),
            ("/users/ann%40x.example", "/users/REDACTED"),
            ("/users/a@b@c", "/users/a@b@c"),
            ("/pay/4111111111111111?to=bob%40x&n=1", "/pay/REDACTED?to=REDACTED&n=1"),
            ("/a?sk_live", "/a?REDACTED"),
            ("/sk_1/SK_1", "/REDACTED/SK_1"),
            ("//sk_1/", "//REDACTED/"),
        ] {
            assert_eq!(shown(Part::Path, &[(":path", path)]).as_deref(), Some(expected), "{path}");
        }
    }

    #[test]
    fn what_is_too_long_to_be_shown_ends() {
        let long = format!("/{}?{}", "a/".repeat(900), "b=c&".repeat(900));
        let shown = shown(Part::Path, &[(":path", &long)]).unwrap();
        assert_eq!(shown.as_bytes(), &long.as_bytes()[..LONGEST]);
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

    proptest! {
        #[test]
        fn nothing_that_must_not_be_seen_is_seen(
            path in "(/(a|b@c|b%40c|sk_x|1234567890123)){0,3}/?(\\?((sig|Pin2|b|p%69n)(=(a|b@c|%40|k=@k))?[&;]){0,4})?",
        ) {
            let shown = shown(Part::Path, &[(":path", &path)]).unwrap_or_default();
            for secret in ["b@c", "b%40c", "k=@k", "sk_x", "1234567890123"] {
                prop_assert!(!shown.contains(secret), "{}", shown);
            }
            for pair in shown.split(['?', '&']).skip(1) {
                let (name, value) = pair.split_once('=').unwrap_or((pair, "REDACTED"));
                prop_assert!(name == "b" || value == "REDACTED", "{}", shown);
            }
            // What is hidden is hidden, and all else is as it was.
            let pieces = |path: &str| path.split(['/', '?', '&', ';', '=']).count();
            prop_assert!(pieces(&shown) <= pieces(&path));
        }
    }
}
