//! Cookies that we issue: what `Set-Cookie` says of them.

use std::time::Duration;

use serde::Deserialize;

/// A cookie of ours (RFC 6265 §4.1). Scripts never see it: it is always `HttpOnly`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Cookie {
    pub(crate) name: String,
    /// How long a browser keeps it.
    pub(crate) max_age: Duration,
    pub(crate) path: String,
    pub(crate) domain: Option<String>,
    pub(crate) same_site: SameSite,
    pub(crate) transport: Transport,
}

/// With which requests of other sites a browser sends the cookie (draft-ietf-httpbis-rfc6265bis §4.1.2.7).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
pub(crate) enum SameSite {
    Strict,
    #[default]
    Lax,
    None,
}

/// Over what a browser sends the cookie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Transport {
    /// TLS alone: `Secure`.
    Secure,
    Any,
}

impl Cookie {
    /// The line that gives the cookie this value, for as long as it is kept or shorter.
    pub(crate) fn line(&self, value: &str, longest: Duration) -> Vec<u8> {
        let Self { name, path, domain, .. } = self;
        let domain = domain.as_ref().map(|domain| format!("; Domain={domain}")).unwrap_or_default();
        let max_age = self.max_age.min(longest).as_secs();
        let same_site = match self.same_site {
            SameSite::Strict => "Strict",
            SameSite::Lax => "Lax",
            SameSite::None => "None",
        };
        let secure = match self.transport {
            Transport::Secure => "; Secure",
            Transport::Any => "",
        };
        format!(
            "{name}={value}; Max-Age={max_age}; Path={path}{domain}; SameSite={same_site}; HttpOnly{secure}"
        )
        .into_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_everything() {
        let mut cookie = Cookie {
            name: "uid".to_owned(),
            max_age: Duration::from_secs(60),
            path: "/".to_owned(),
            domain: None,
            same_site: SameSite::Lax,
            transport: Transport::Secure,
        };
        let line = |cookie: &Cookie, longest| {
            String::from_utf8(cookie.line("x", Duration::from_secs(longest))).unwrap()
        };
        assert_eq!(line(&cookie, 100), "uid=x; Max-Age=60; Path=/; SameSite=Lax; HttpOnly; Secure");
        cookie.domain = Some("a.example".to_owned());
        cookie.same_site = SameSite::None;
        cookie.transport = Transport::Any;
        assert_eq!(
            line(&cookie, 5),
            "uid=x; Max-Age=5; Path=/; Domain=a.example; SameSite=None; HttpOnly"
        );
    }
}
