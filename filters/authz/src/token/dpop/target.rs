//! Whether a proof is about the URI that is asked for (RFC 9449 §4.3, 9): both are compared without query and fragment,
//! and as they are after normalization by syntax and scheme (RFC 3986 §6.2.2 and §6.2.3).

use filter_core::matching::host::Host;
use filter_core::matching::path;
use filter_core::{Copies, Headers};

/// Whether `uri` is what the request asks for.
pub(super) fn is(uri: &str, headers: Headers<'_>) -> bool {
    let Some((scheme, rest)) = uri.split_once("://") else {
        return false;
    };
    let usual_port: &[u8] = match scheme.to_ascii_lowercase().as_str() {
        // TLS may have ended before us.
        "https" => b"443",
        "http" if headers.only(":scheme") == Copies::One(b"http") => b"80",
        _ => return false,
    };
    let rest = rest.split(['?', '#']).next().unwrap_or_default();
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let Copies::One(asked) = headers.only(":authority") else {
        return false;
    };
    let (Some(own), Some(asked)) = (Host::canonical(authority.as_bytes()), Host::canonical(asked))
    else {
        return false;
    };
    let port = |host: &Host<'_>| host.port().unwrap_or(usual_port).to_vec();
    own.name() == asked.name()
        && port(&own) == port(&asked)
        && same_path(path.as_bytes(), headers.path())
}

/// Whether both are one path. Of those that servers read differently, only the same bytes are.
fn same_path(own: &[u8], asked: &[u8]) -> bool {
    let own = if own.is_empty() { b"/" } else { own };
    let end = asked.iter().position(|byte| matches!(byte, b'?' | b'#')).unwrap_or(asked.len());
    let asked = asked.get(..end).unwrap_or_default();
    match (path::canonical(own), path::canonical(asked)) {
        (Ok(own), Ok(asked)) => own == asked,
        _ => own == asked,
    }
}
