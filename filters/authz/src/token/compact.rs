//! A JWS in compact serialization (RFC 7515 §7.1), read strictly, nothing of it believed yet.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};

use super::algorithm::Algorithm;
use super::json;
use crate::Reason;

/// The longest token that is read.
pub(crate) const MAX_LENGTH: usize = 8192;

/// A token taken apart. The payload stays encoded until the signature is known to be good.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Compact<'a> {
    /// `alg`: how the token says that it is signed.
    pub(crate) algorithm: Algorithm,
    /// `kid`: the key that the token says it is signed with.
    pub(crate) kid: Option<String>,
    /// What is signed: the encoded header and payload with the dot between.
    pub(crate) message: &'a str,
    /// The signature, encoded.
    pub(crate) signature_text: &'a str,
    /// The signature.
    pub(crate) signature: Vec<u8>,
    payload: &'a str,
}

impl<'a> Compact<'a> {
    /// Takes a token apart.
    ///
    /// # Errors
    /// When it is not three parts of base64url without padding, when its header is not one of a JWT (`typ` being absent, `JWT`
    /// or, by RFC 9068 §2.1, `at+jwt`), or demands an extension (`crit`; this filter has none), or when the algorithm is not one of ours.
    pub(crate) fn parse(token: &'a [u8]) -> Result<Self, Reason> {
        Self::of_type(token, |kind| matches!(kind, None | Some("jwt" | "at+jwt")))
            .map(|(own, _)| own)
    }

    /// Takes a DPoP proof apart (RFC 9449 §4.2), and gives its header, in which its key is.
    ///
    /// # Errors
    /// As [`Compact::parse`], but for the type.
    pub(crate) fn parse_proof(proof: &'a [u8]) -> Result<(Self, Map<String, Value>), Reason> {
        Self::of_type(proof, |kind| kind == Some("dpop+jwt"))
    }

    /// Takes a token apart whose `typ`, in lower case and without `application/` (RFC 7515 §4.1.9), will do (RFC 8725
    /// §3.11).
    fn of_type(
        token: &'a [u8],
        will_do: fn(Option<&str>) -> bool,
    ) -> Result<(Self, Map<String, Value>), Reason> {
        let token = Some(token)
            .filter(|token| token.len() <= MAX_LENGTH)
            .and_then(|token| std::str::from_utf8(token).ok())
            .ok_or(Reason::TokenMalformed)?;
        let (message, signature_text) = token.rsplit_once('.').ok_or(Reason::TokenMalformed)?;
        let (header, payload) = message.split_once('.').ok_or(Reason::TokenMalformed)?;
        if payload.contains('.') {
            return Err(Reason::TokenMalformed);
        }
        let header = json::object(&decoded(header)?).map_err(|_| Reason::TokenMalformed)?;
        // RFC 7797 §7: no JWT has `b64`, which changes what is signed.
        let kind = text(&header, "typ")?.map(str::to_ascii_lowercase);
        let kind = kind.as_deref().map(|kind| kind.strip_prefix("application/").unwrap_or(kind));
        if ["crit", "b64"].iter().any(|name| header.contains_key(*name)) || !will_do(kind) {
            return Err(Reason::TokenMalformed);
        }
        let kid = text(&header, "kid")?.map(str::to_owned);
        let algorithm = text(&header, "alg")?.ok_or(Reason::TokenMalformed)?;
        let algorithm = Algorithm::named(algorithm).ok_or(Reason::TokenAlgorithm)?;
        let signature = decoded(signature_text)?;
        Ok((Self { algorithm, kid, message, signature_text, signature, payload }, header))
    }

    /// The payload's members. Ask only when the signature is good.
    ///
    /// # Errors
    /// When it is not the encoding of one JSON object.
    pub(crate) fn payload(&self) -> Result<Map<String, Value>, Reason> {
        json::object(&decoded(self.payload)?).map_err(|_| Reason::TokenMalformed)
    }
}

/// Strict base64url: no padding, no other alphabet, no stray bits, so that every value has one text.
pub(crate) fn decoded(part: &str) -> Result<Vec<u8>, Reason> {
    URL_SAFE_NO_PAD.decode(part).map_err(|_| Reason::TokenMalformed)
}

fn text<'a>(header: &'a Map<String, Value>, name: &str) -> Result<Option<&'a str>, Reason> {
    match header.get(name) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(Reason::TokenMalformed),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_header(header: &str) -> Result<(), Reason> {
        let token = format!("{}.e30.AA", URL_SAFE_NO_PAD.encode(header));
        Compact::parse(token.as_bytes()).map(|_| ())
    }

    #[test]
    fn three_parts_and_no_more() {
        let header = URL_SAFE_NO_PAD.encode(r#"{"alg":"RS256"}"#);
        let token = format!("{header}.e30.AA");
        let compact = Compact::parse(token.as_bytes()).unwrap();
        assert_eq!(compact.message, format!("{header}.e30"));
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
            assert_eq!(Compact::parse(token.as_bytes()), Err(Reason::TokenMalformed), "{token}");
        }
        assert_eq!(Compact::parse(b"\xff.\xff.\xff"), Err(Reason::TokenMalformed));
    }

    #[test]
    fn a_token_is_bounded() {
        let header = URL_SAFE_NO_PAD.encode(r#"{"alg":"RS256"}"#);
        let token = |length: usize| {
            let rest = length - header.len() - ".e30.".len();
            format!("{header}.e30.{}", "A".repeat(rest))
        };
        assert!(Compact::parse(token(MAX_LENGTH).as_bytes()).is_ok());
        assert!(Compact::parse(token(MAX_LENGTH + 2).as_bytes()).is_err());
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
