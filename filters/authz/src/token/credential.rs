//! Which bearer token a request carries, if any.

use filter_core::{Copies, Headers};

use crate::Reason;

/// The token in `Authorization: Bearer TOKEN` (RFC 6750 §2.1), the scheme in any case (RFC 9110 §11.1). Another scheme
/// is no token.
///
/// # Errors
/// When there is more than one credential, or the scheme is followed by something else than blanks and a token.
pub(crate) fn bearer(headers: Headers<'_>) -> Result<Option<&[u8]>, Reason> {
    let value = match headers.only("authorization") {
        Copies::None => return Ok(None),
        Copies::One(value) => value.trim_ascii(),
        Copies::Many => return Err(Reason::TokenRepeated),
    };
    let first = after_bearer(value);
    // Envoy joins repeated lines of this header by a comma, and none may hide behind another.
    let mut others = value.split(|byte| *byte == b',').skip(1).map(<[u8]>::trim_ascii);
    match first {
        None if others.any(|other| after_bearer(other).is_some()) => Err(Reason::TokenRepeated),
        None => Ok(None),
        Some(_) if others.next().is_some() => Err(Reason::TokenRepeated),
        Some(rest) => {
            let token = rest.trim_ascii_start();
            let apart = rest.first() == Some(&b' ') && !rest.contains(&b'\t');
            if apart && !token.is_empty() { Ok(Some(token)) } else { Err(Reason::TokenMalformed) }
        }
    }
}

/// What follows the scheme, if that is Bearer.
fn after_bearer(credential: &[u8]) -> Option<&[u8]> {
    let word = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    let (scheme, rest) = credential.split_at_checked(b"bearer".len())?;
    let whole = !rest.first().is_some_and(|byte| word(*byte));
    (whole && scheme.eq_ignore_ascii_case(b"bearer")).then_some(rest)
}

#[cfg(test)]
mod tests {
    use filter_core::HeaderMap;

    use super::*;

    #[track_caller]
    fn check(values: &[&str], expected: Result<Option<&str>, Reason>) {
        let map = HeaderMap::from_pairs(values.iter().map(|value| ("authorization", value)));
        let found = bearer(Headers::new(&map, &[]));
        assert_eq!(found, expected.map(|token| token.map(str::as_bytes)), "{values:?}");
    }

    #[test]
    fn the_scheme_is_read_in_any_case() {
        for value in ["Bearer a.b.c", "bearer a.b.c", "BEARER   a.b.c", " Bearer a.b.c "] {
            check(&[value], Ok(Some("a.b.c")));
        }
    }

    #[test]
    fn another_scheme_is_no_token() {
        check(&[], Ok(None));
        for value in ["", "Basic YTpi", "BearerX a", "Bearer-2 a", "Foo Bearer a.b.c", "DPoP a.b.c"]
        {
            check(&[value], Ok(None));
        }
        check(&["Digest username=\"a\", realm=\"b\""], Ok(None));
    }

    #[test]
    fn no_credential_hides_behind_another() {
        for values in [
            &["Bearer a", "Bearer a"][..],
            &["Bearer a", "Basic b"],
            &["Basic b", "Bearer a"],
            &["Basic b,Bearer a"],
            &["Basic b ,  bearer\ta"],
            &["Bearer a,Basic b"],
            &["Bearer a, Bearer a"],
            &["Bearer a,"],
        ] {
            check(values, Err(Reason::TokenRepeated));
        }
    }

    #[test]
    fn a_scheme_without_a_token_is_malformed() {
        for value in ["Bearer", "Bearer ", "Bearer\ta.b.c", "Bearer:a", "Bearer=a", "Bearer \ta"] {
            check(&[value], Err(Reason::TokenMalformed));
        }
    }
}
