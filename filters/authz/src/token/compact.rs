//! A JWS in compact serialization (RFC 7515 §7.1), read strictly, nothing of it believed yet.

use std::rc::Rc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};

use super::header::{Header, KnownHeaders};
use super::json;
use crate::Reason;

/// The longest token that is read.
pub(crate) const MAX_LENGTH: usize = 8192;

/// A token taken apart. The payload stays encoded until the signature is known to be good.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Compact<'a> {
    /// How the token says that it is signed.
    pub(crate) header: Rc<Header>,
    /// What is signed: the encoded header and payload with the dot between.
    pub(crate) message: &'a [u8],
    /// The signature, encoded.
    pub(crate) signature_text: &'a [u8],
    /// The signature.
    pub(crate) signature: Vec<u8>,
    parts: Parts<'a>,
}

/// The parts that are signed, encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Parts<'a> {
    header: &'a [u8],
    payload: &'a [u8],
}

impl<'a> Compact<'a> {
    /// Takes a token apart.
    ///
    /// # Errors
    /// When it is not three parts of base64url without padding, or its header is none of a JWT's ([`Header::of_jwt`]).
    pub(crate) fn parse(token: &'a [u8], known: &KnownHeaders) -> Result<Self, Reason> {
        Self::with_header(token, |text| Ok((known.read(text)?, ()))).map(|(own, ())| own)
    }

    /// Takes a DPoP proof apart (RFC 9449 §4.2), and gives its header, in which its key is.
    ///
    /// # Errors
    /// As [`Compact::parse`], but for the type.
    pub(crate) fn parse_proof(proof: &'a [u8]) -> Result<(Self, Map<String, Value>), Reason> {
        Self::with_header(proof, |text| {
            Header::of_proof(text).map(|(header, members)| (Rc::new(header), members))
        })
    }

    fn with_header<T>(
        token: &'a [u8],
        read: impl FnOnce(&[u8]) -> Result<(Rc<Header>, T), Reason>,
    ) -> Result<(Self, T), Reason> {
        let malformed = Reason::TokenMalformed;
        let token = Some(token).filter(|token| token.len() <= MAX_LENGTH).ok_or(malformed)?;
        let (header, rest) = at_dot(token).ok_or(malformed)?;
        // In base64url there is no dot, so a fourth part makes the third one malformed.
        let (payload, signature_text) = at_dot(rest).ok_or(malformed)?;
        let signed = header.len().saturating_add(payload.len()).saturating_add(1);
        let message = token.get(..signed).filter(|text| text.is_ascii()).ok_or(malformed)?;
        let signature = decoded(signature_text)?;
        let (read, rest) = read(header)?;
        let parts = Parts { header, payload };
        Ok((Self { header: read, message, signature_text, signature, parts }, rest))
    }

    /// Remembers what the header says. Ask only when the signature is good.
    pub(crate) fn make_known(&self, known: &KnownHeaders) {
        known.keep(self.parts.header, &self.header);
    }

    /// The payload, encoded.
    pub(crate) fn encoded_payload(&self) -> &'a [u8] {
        self.parts.payload
    }

    /// The payload's members. Ask only when the signature is good.
    ///
    /// # Errors
    /// When it is not the encoding of one JSON object.
    pub(crate) fn payload(&self) -> Result<Map<String, Value>, Reason> {
        json::object(&decoded(self.parts.payload)?).map_err(|_| Reason::TokenMalformed)
    }
}

/// What stands before the first dot, and behind it.
fn at_dot(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let (before, rest) = text.split_at_checked(text.iter().position(|byte| *byte == b'.')?)?;
    Some((before, rest.get(1..)?))
}

/// Strict base64url: no padding, no other alphabet, no stray bits, so that every value has one text.
pub(crate) fn decoded(part: &[u8]) -> Result<Vec<u8>, Reason> {
    URL_SAFE_NO_PAD.decode(part).map_err(|_| Reason::TokenMalformed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(token: &[u8]) -> Result<Compact<'_>, Reason> {
        Compact::parse(token, &KnownHeaders::default())
    }

    fn with_header(header: &str) -> Result<(), Reason> {
        let token = format!("{}.e30.AA", URL_SAFE_NO_PAD.encode(header));
        parse(token.as_bytes()).map(|_| ())
    }

    #[test]
    fn three_parts_and_no_more() {
        let header = URL_SAFE_NO_PAD.encode(r#"{"alg":"RS256"}"#);
        let token = format!("{header}.e30.AA");
        let compact = parse(token.as_bytes()).unwrap();
        assert_eq!(compact.message, format!("{header}.e30").as_bytes());
        assert_eq!(compact.signature, [0]);
        assert_eq!(compact.payload(), Ok(Map::new()));
        for token in [
            String::new(),
            ".".to_owned(),
            "..".to_owned(),
            header.clone(),
            format!("{header}.e30"),
            format!(".{header}.e30.AA"),
            format!("{header}..e30.AA"),
            format!("{header}.e30.AA."),
            format!("{header}.e30.AA.AA.AA"),
            format!("{header}=.e30.AA"),
            format!("{header}.e30.AA=="),
            format!("{header}.e30.AB"),
            format!("{header}.e30.A"),
            format!("{header}.e30.A+"),
            format!("{header}.e30.A/"),
            format!("{header}.e30.A A"),
            format!("{header}.e30.AÄ"),
        ] {
            assert_eq!(parse(token.as_bytes()), Err(Reason::TokenMalformed), "{token}");
        }
        assert_eq!(parse(b"\xff.\xff.\xff"), Err(Reason::TokenMalformed));
    }

    #[test]
    fn a_token_is_bounded() {
        let header = URL_SAFE_NO_PAD.encode(r#"{"alg":"RS256"}"#);
        let token = |length: usize| {
            let rest = length - header.len() - ".e30.".len();
            format!("{header}.e30.{}", "A".repeat(rest))
        };
        assert!(parse(token(MAX_LENGTH).as_bytes()).is_ok());
        assert!(parse(token(MAX_LENGTH + 2).as_bytes()).is_err());
    }

    #[test]
    fn the_header_is_one_of_a_jwt() {
        for header in [
            r#"{"alg":"RS256"}"#,
            r#"{"alg":"ES256","typ":"JWT"}"#,
            r#"{"alg":"ES256","typ":"at+jwt"}"#,
            r#"{"alg":"ES256","typ":"application/AT+JWT","kid":"k"}"#,
            r#"{"alg":"RS256","jwk":{"kty":"oct"},"jku":"https://a","x5u":"https://a","x5c":[]}"#,
        ] {
            assert_eq!(with_header(header), Ok(()), "{header}");
        }
        for header in [
            "",
            "null",
            "[]",
            "{}",
            r#"{"alg":null}"#,
            r#"{"alg":["RS256"]}"#,
            r#"{"alg":"RS256","alg":"RS256"}"#,
            r#"{"alg":"RS256","kid":1}"#,
            r#"{"alg":"RS256","typ":1}"#,
            r#"{"alg":"RS256","typ":"dpop+jwt"}"#,
            r#"{"alg":"RS256","typ":"JOSE"}"#,
            r#"{"alg":"RS256","crit":["b64"],"b64":false}"#,
            r#"{"alg":"RS256","crit":[]}"#,
            r#"{"alg":"RS256","b64":false}"#,
        ] {
            assert_eq!(with_header(header), Err(Reason::TokenMalformed), "{header}");
        }
    }

    #[test]
    fn other_algorithms_are_refused_by_name() {
        for name in ["none", "None", "HS1", "ES256K", "ES521", "Ed448", "rs256", ""] {
            let header = format!(r#"{{"alg":"{name}"}}"#);
            assert_eq!(with_header(&header), Err(Reason::TokenAlgorithm), "{name}");
        }
    }
}
