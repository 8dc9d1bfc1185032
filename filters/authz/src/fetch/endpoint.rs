//! Where a document is fetched from: a URL, and the cluster by which the proxy reaches it.

use std::time::Duration;

use filter_core::Callout;

/// An `http` or `https` URL, and the cluster that leads to it. TLS, if any, is the cluster's business.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Endpoint {
    /// The cluster's name.
    pub(crate) cluster: String,
    /// As it was given.
    pub(crate) url: String,
    scheme: &'static str,
    authority: String,
    path: String,
}

/// Why a URL is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct InvalidUrl(pub(crate) &'static str);

impl Endpoint {
    /// Reads a URL (RFC 3986). Without a `cluster` it is the one that Istio makes for a Service or ServiceEntry of that
    /// host: `outbound|PORT||HOST`.
    ///
    /// # Errors
    /// When it is no such URL, or one that says more than a request can.
    pub(crate) fn parse(url: &str, cluster: Option<String>) -> Result<Self, InvalidUrl> {
        let (scheme, rest, usual) =
            match (url.strip_prefix("http://"), url.strip_prefix("https://")) {
                (Some(rest), _) => ("http", rest, 80),
                (_, Some(rest)) => ("https", rest, 443),
                _ => {
                    return Err(InvalidUrl("one that does not begin with `http://` or `https://`"));
                }
            };
        if !url.bytes().all(|byte| byte.is_ascii_graphic()) || url.contains(['#', '\\', '|']) {
            return Err(InvalidUrl("one with a fragment, or with characters that must be escaped"));
        }
        let (authority, path) = match rest.find(['/', '?']) {
            Some(end) => rest.split_at(end),
            None => (rest, "/"),
        };
        if authority.contains('@') {
            return Err(InvalidUrl("one with a user's name"));
        }
        let (host, port) = match authority.rsplit_once(':') {
            Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
            _ => (authority, None),
        };
        let port = match port.map(str::parse::<u16>) {
            None => usual,
            Some(Ok(port)) if port != 0 => port,
            Some(_) => return Err(InvalidUrl("one whose port is none")),
        };
        if host.is_empty() {
            return Err(InvalidUrl("one without a host"));
        }
        let host = host.to_ascii_lowercase();
        Ok(Self {
            cluster: cluster.unwrap_or_else(|| format!("outbound|{port}||{host}")),
            url: url.to_owned(),
            scheme,
            authority: if port == usual { host } else { format!("{host}:{port}") },
            path: if path.starts_with('/') { path.to_owned() } else { format!("/{path}") },
        })
    }

    /// The request that fetches it.
    pub(crate) fn callout(&self, timeout: Duration) -> Callout {
        let header = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        Callout {
            cluster: self.cluster.clone(),
            headers: vec![
                header(":method", "GET"),
                header(":path", &self.path),
                header(":authority", &self.authority),
                header(":scheme", self.scheme),
                header("accept", "application/json"),
            ],
            body: Vec::new(),
            timeout,
        }
    }

    /// Names the document among all of the process.
    pub(crate) fn name(&self) -> String {
        format!("{} {}://{}{}", self.cluster, self.scheme, self.authority, self.path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(url: &str) -> Result<(String, String), &'static str> {
        let endpoint = Endpoint::parse(url, None).map_err(|invalid| invalid.0)?;
        Ok((endpoint.name(), endpoint.cluster))
    }

    #[test]
    fn a_url_leads_to_the_cluster_that_istio_makes_for_it() {
        for (url, cluster, name) in [
            (
                "https://Issuer.example/keys",
                "outbound|443||issuer.example",
                "https://issuer.example/keys",
            ),
            (
                "http://keys.demo.svc.cluster.local:8080/jwks?a=b",
                "outbound|8080||keys.demo.svc.cluster.local",
                "http://keys.demo.svc.cluster.local:8080/jwks?a=b",
            ),
            (
                "https://issuer.example:443",
                "outbound|443||issuer.example",
                "https://issuer.example/",
            ),
            ("http://issuer.example?a", "outbound|80||issuer.example", "http://issuer.example/?a"),
            ("http://[::1]:8080/", "outbound|8080||[::1]", "http://[::1]:8080/"),
            ("http://[::1]/", "outbound|80||[::1]", "http://[::1]/"),
        ] {
            assert_eq!(parsed(url), Ok((format!("{cluster} {name}"), cluster.to_owned())), "{url}");
        }
        let named = Endpoint::parse("https://issuer.example/", Some("keys".to_owned())).unwrap();
        assert_eq!(named.cluster, "keys");
    }

    #[test]
    fn what_is_no_url_of_ours_is_refused() {
        for url in [
            "",
            "issuer.example",
            "ftp://issuer.example/",
            "http://",
            "http:///keys",
            "http://:80/",
            "http://a:0/",
            "http://a:65536/",
            "http://a:b/",
            "http://u@a/",
            "http://a/#b",
            "http://a/ b",
            "http://a|b/",
            "http://a/\u{e9}",
            "HTTP://a/",
        ] {
            assert!(parsed(url).is_err(), "{url}");
        }
    }
}
