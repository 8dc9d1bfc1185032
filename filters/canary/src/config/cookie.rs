//! Cookies that we issue.

use std::time::Duration;

use filter_core::config::Span;
use filter_core::{HeaderName, Invalid};
use serde::Deserialize;

use crate::cookie::{Cookie, SameSite, Transport};

/// Browsers keep none for longer (draft-ietf-httpbis-rfc6265bis §5.5): 400 days.
const LONGEST: Duration = Duration::from_secs(400 * 24 * 60 * 60);
/// For how long, unless somebody says otherwise: 30 days.
const USUAL: Duration = Duration::from_secs(30 * 24 * 60 * 60);

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct RawCookie {
    name: String,
    ttl: Option<Span>,
    path: Option<String>,
    domain: Option<String>,
    #[serde(default)]
    same_site: SameSite,
    secure: Option<bool>,
}

/// A cookie whose name is said elsewhere.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct RawNameless {
    ttl: Option<Span>,
    path: Option<String>,
    domain: Option<String>,
    #[serde(default)]
    same_site: SameSite,
    secure: Option<bool>,
}

impl RawNameless {
    pub(super) fn named(self, name: String) -> RawCookie {
        let Self { ttl, path, domain, same_site, secure } = self;
        RawCookie { name, ttl, path, domain, same_site, secure }
    }
}

/// A cookie's name: a token, as a header's is (RFC 6265 §4.1.1), but with its case.
pub(super) fn name(pointer: &str, name: String) -> Result<String, Invalid> {
    if HeaderName::parse(&name).is_none() {
        return Err(Invalid::at(pointer, "a cookie's name", format!("{name:?}")));
    }
    Ok(name)
}

impl RawCookie {
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn compile(self) -> Result<Cookie, Invalid> {
        let name = name("/name", self.name)?;
        let max_age = self.ttl.map_or(USUAL, |ttl| ttl.0);
        if !(Duration::from_secs(1)..=LONGEST).contains(&max_age) {
            return Err(Invalid::at("/ttl", "1s to 9600h", format!("{}s", max_age.as_secs())));
        }
        let path = self.path.unwrap_or_else(|| "/".to_owned());
        let plain = |byte: u8| byte.is_ascii_graphic() && byte != b';';
        if !path.starts_with('/') || !path.bytes().all(plain) {
            return Err(Invalid::at("/path", "a path that begins with `/`", format!("{path:?}")));
        }
        let host = |text: &String| {
            !text.is_empty()
                && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-.".contains(&byte))
        };
        if let Some(domain) = self.domain.as_ref().filter(|domain| !host(domain)) {
            return Err(Invalid::at("/domain", "a domain", format!("{domain:?}")));
        }
        let transport = match self.secure {
            Some(false) => Transport::Any,
            Some(true) | None => Transport::Secure,
        };
        // What browsers would not take (draft-ietf-httpbis-rfc6265bis §4.1.3, §5.7).
        let prefixed = name.starts_with("__Host-") || name.starts_with("__Secure-");
        if transport == Transport::Any && (prefixed || self.same_site == SameSite::None) {
            let expected = "`true` for `sameSite: None` and names with `__Host-` or `__Secure-`";
            return Err(Invalid::at("/secure", expected, "false"));
        }
        if name.starts_with("__Host-") && (self.domain.is_some() || path != "/") {
            let expected = "no `domain` and the path `/` for a name with `__Host-`";
            return Err(Invalid::at("/name", expected, "others"));
        }
        Ok(Cookie {
            name,
            max_age,
            path,
            domain: self.domain,
            same_site: self.same_site,
            transport,
        })
    }
}
