//! Who asks, as the proxies before us tell it: `x-forwarded-client-cert`, in the form that Envoy gives it.
//!
//! Each proxy writes an element about its own client at the end. Those who may be believed are known by name: from the
//! end, the first element about somebody else names the source, and whatever stands before it may be made up.

use filter_core::Headers;

use super::peer::Peer;

const HEADER: &str = "x-forwarded-client-cert";

/// The proxies that are believed.
#[derive(Clone, Debug)]
pub(crate) struct Xfcc {
    /// Their URIs.
    trusted: Box<[Vec<u8>]>,
}

/// What one element says of a client's URI.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Said {
    /// This one, and no other.
    Uri(Vec<u8>),
    /// None, or several.
    Unclear,
}

/// The header is not of Envoy's form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Malformed;

impl Xfcc {
    /// These principals are believed, written without `spiffe://`.
    pub(crate) fn new(principals: impl IntoIterator<Item = String>) -> Self {
        let uri = |principal| format!("spiffe://{principal}").into_bytes();
        Self { trusted: principals.into_iter().map(uri).collect() }
    }

    /// The source of a request from this peer: the peer itself, unless it is believed and tells of another.
    pub(crate) fn source(&self, peer: Peer, headers: Headers<'_>) -> Peer {
        let mut source = peer;
        if !self.trusts(&source) {
            return source;
        }
        let Ok(elements) = elements(headers) else {
            return Peer::Unclear;
        };
        for said in elements.into_iter().rev() {
            source = match said {
                Said::Uri(uri) => Peer::Uri(uri),
                Said::Unclear => Peer::Unclear,
            };
            if !self.trusts(&source) {
                break;
            }
        }
        source
    }

    fn trusts(&self, peer: &Peer) -> bool {
        matches!(peer, Peer::Uri(uri) if self.trusted.contains(uri))
    }
}

/// All elements of all lines.
fn elements(headers: Headers<'_>) -> Result<Vec<Said>, Malformed> {
    let mut elements = Vec::new();
    for line in headers.copies(HEADER) {
        let mut rest = Some(line);
        while let Some(text) = rest {
            let (said, behind) = element(text.trim_ascii())?;
            elements.push(said);
            rest = behind;
        }
    }
    Ok(elements)
}

/// One element, `Key=Value;Key=Value`, and what stands behind the comma that ends it.
fn element(text: &[u8]) -> Result<(Said, Option<&[u8]>), Malformed> {
    let mut said = None;
    let mut rest = text;
    loop {
        let equals = rest.iter().position(|byte| *byte == b'=').ok_or(Malformed)?;
        let (key, behind) = rest.split_at_checked(equals).ok_or(Malformed)?;
        if key.is_empty() || !key.iter().all(u8::is_ascii_alphanumeric) {
            return Err(Malformed);
        }
        let (value, behind) = value(behind.get(1..).unwrap_or_default())?;
        if key.eq_ignore_ascii_case(b"uri") {
            said = match said {
                None if !value.is_empty() => Some(Said::Uri(value)),
                _ => Some(Said::Unclear),
            };
        }
        rest = match behind.split_first() {
            Some((b';', behind)) => behind,
            Some((b',', behind)) => return Ok((said.unwrap_or(Said::Unclear), Some(behind))),
            Some(_) => return Err(Malformed),
            None => return Ok((said.unwrap_or(Said::Unclear), None)),
        };
    }
}

/// A value, without its quotes, and what stands behind it.
fn value(text: &[u8]) -> Result<(Vec<u8>, &[u8]), Malformed> {
    let Some(quoted) = text.strip_prefix(b"\"") else {
        let end = text.iter().position(|byte| matches!(byte, b';' | b','));
        let (value, rest) = text.split_at_checked(end.unwrap_or(text.len())).ok_or(Malformed)?;
        return if value.contains(&b'"') { Err(Malformed) } else { Ok((value.to_vec(), rest)) };
    };
    let mut value = Vec::new();
    let mut rest = quoted;
    loop {
        let quote = rest.iter().position(|byte| *byte == b'"').ok_or(Malformed)?;
        let (part, behind) = rest.split_at_checked(quote).ok_or(Malformed)?;
        rest = behind.get(1..).unwrap_or_default();
        match part {
            // Envoy writes `\"` for a quote and a backslash as it is: whether this one ends the value cannot be told.
            [.., b'\\', b'\\'] => return Err(Malformed),
            [part @ .., b'\\'] => {
                value.extend_from_slice(part);
                value.push(b'"');
            }
            part => {
                value.extend_from_slice(part);
                return Ok((value, rest));
            }
        }
    }
}

#[cfg(test)]
mod tests;
