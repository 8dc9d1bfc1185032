//! Which requests a rule is about: `Operation` of Istio's `AuthorizationPolicy`.

use std::borrow::Cow;

use serde::Deserialize;
use serde::de::Error as _;

use super::host::Host;
use super::{
    About, Ambiguous, HostPattern, Index, NonEmpty, PathPattern, StringPattern, Truth, path,
};
use crate::Headers;
use crate::config::Object;

/// What a request asks for, in canonical form. Make it once for all rules.
#[derive(Clone, Debug)]
pub struct RequestLine<'a> {
    method: &'a [u8],
    host: Option<Host<'a>>,
    path: Result<Cow<'a, [u8]>, Ambiguous>,
}

impl<'a> RequestLine<'a> {
    /// The request line of these headers.
    #[must_use]
    pub fn of(headers: Headers<'a>) -> Self {
        Self {
            method: headers.method(),
            host: Host::canonical(headers.authority()),
            path: path::canonical(headers.path()),
        }
    }

    /// The method, as sent.
    #[must_use]
    pub fn method(&self) -> &'a [u8] {
        self.method
    }

    /// The canonical path.
    ///
    /// # Errors
    /// When the path has no single meaning.
    pub fn path(&self) -> Result<&[u8], Ambiguous> {
        self.path.as_deref().map_err(|ambiguous| *ambiguous)
    }
}

impl RequestLine<'_> {
    /// The positions of the rules that may be about this, in order; `None` if all may.
    #[must_use]
    pub fn candidates(&self, index: &Index) -> Option<Vec<usize>> {
        let (path, host) = (self.path().ok()?, self.host.as_ref()?);
        let full = host.port().into_iter().map(|_| host.with_port());
        let names = std::iter::once(Cow::Borrowed(host.name())).chain(full);
        index.candidates(path, self.method, names)
    }
}

/// A predicate over the request line: all fields that are given hold; a field holds when any of its values does, its
/// `not` twin when none does.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Object<Raw>")]
pub struct Operation {
    raw: Raw,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Raw {
    hosts: Option<NonEmpty<HostPattern>>,
    not_hosts: Option<NonEmpty<HostPattern>>,
    methods: Option<NonEmpty<StringPattern>>,
    not_methods: Option<NonEmpty<StringPattern>>,
    paths: Option<NonEmpty<PathPattern>>,
    not_paths: Option<NonEmpty<PathPattern>>,
}

impl TryFrom<Object<Raw>> for Operation {
    type Error = serde_json::Error;

    fn try_from(Object(raw): Object<Raw>) -> Result<Self, Self::Error> {
        if raw == Raw::default() {
            let expected = "at least one of `hosts`, `methods`, `paths` and their `not` twins";
            return Err(Self::Error::custom(format!("an empty object, expected {expected}")));
        }
        Ok(Self { raw })
    }
}

impl Operation {
    /// What the operation is about, for [`Index::over`].
    #[must_use]
    pub fn about(&self) -> About<'_> {
        About {
            hosts: self.raw.hosts.as_ref().map(NonEmpty::as_slice),
            methods: self.raw.methods.as_ref().map(NonEmpty::as_slice),
            paths: self.raw.paths.as_ref().map(NonEmpty::as_slice),
        }
    }

    /// Whether the request is one of those meant.
    #[must_use]
    pub fn matches(&self, line: &RequestLine<'_>) -> Truth {
        let hosts = |hosts: &NonEmpty<HostPattern>| {
            Truth::any(hosts.iter().map(|host| host.matches(line.host.as_ref())))
        };
        let methods = |methods: &NonEmpty<StringPattern>| {
            Truth::any(methods.iter().map(|method| method.matches(line.method).into()))
        };
        let paths = |paths: &NonEmpty<PathPattern>| {
            Truth::any(paths.iter().map(|path| path.matches(line.path())))
        };
        let Raw {
            hosts: host,
            not_hosts: not_host,
            methods: method,
            not_methods: not_method,
            paths: path,
            not_paths: not_path,
        } = &self.raw;
        // The cheapest first.
        holds(method.as_ref(), methods)
            .and(|| !some(not_method.as_ref(), methods))
            .and(|| holds(path.as_ref(), paths))
            .and(|| !some(not_path.as_ref(), paths))
            .and(|| holds(host.as_ref(), hosts))
            .and(|| !some(not_host.as_ref(), hosts))
    }
}

fn holds<T>(field: Option<&T>, test: impl FnOnce(&T) -> Truth) -> Truth {
    field.map_or(Truth::True, test)
}

fn some<T>(field: Option<&T>, test: impl FnOnce(&T) -> Truth) -> Truth {
    field.map_or(Truth::False, test)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::HeaderMap;

    fn decide(operation: &str, method: &str, host: &str, path: &str) -> Truth {
        let operation: Operation = serde_json::from_str(operation).unwrap();
        let map =
            HeaderMap::from_pairs([(":method", method), (":authority", host), (":path", path)]);
        operation.matches(&RequestLine::of(Headers::new(&map, &[])))
    }

    #[test]
    fn fields_are_and_values_are_or() {
        let operation =
            r#"{"methods":["GET","HEAD"],"paths":["/a/*"],"notPaths":["/a/b"],"hosts":["x.y"]}"#;
        assert_eq!(decide(operation, "HEAD", "x.y", "/a/c"), Truth::True);
        assert_eq!(decide(operation, "POST", "x.y", "/a/c"), Truth::False);
        assert_eq!(decide(operation, "GET", "x.y", "/a/b"), Truth::False);
        assert_eq!(decide(operation, "GET", "x.z", "/a/c"), Truth::False);
    }

    #[test]
    fn ambiguity_shows_only_where_it_matters() {
        let operation = r#"{"methods":["GET"],"paths":["/a/*"]}"#;
        assert_eq!(decide(operation, "GET", "x", "/a;b"), Truth::Unknown);
        assert_eq!(decide(operation, "PUT", "x", "/a;b"), Truth::False);
        assert_eq!(decide(r#"{"notPaths":["/a/*"]}"#, "GET", "x", "/a%2fb"), Truth::Unknown);
        assert_eq!(decide(r#"{"hosts":["x"]}"#, "GET", "", "/"), Truth::Unknown);
    }

    #[test]
    fn an_index_finds_every_operation_that_may_match() {
        let operations: Vec<Operation> = [
            r#"{"paths":["/a"]}"#,
            r#"{"paths":["/a/*"]}"#,
            r#"{"paths":["/b/*"],"methods":["GET"]}"#,
            r#"{"hosts":["x.y"]}"#,
            r#"{"hosts":["x.y:80"],"paths":["/a/*"]}"#,
            r#"{"hosts":["*.y"]}"#,
            r#"{"notPaths":["/a"]}"#,
            r#"{"paths":["*b"]}"#,
        ]
        .map(|text| serde_json::from_str(text).unwrap())
        .into();
        let index = Index::over(operations.iter().map(|operation| vec![operation.about()]));
        let index = index.unwrap();
        for (method, host, path, expected) in [
            ("GET", "x.y:80", "/a/b", Some(&[1, 3, 4, 5, 6, 7][..])),
            ("GET", "X.Y", "/a", Some(&[0, 3, 5, 6, 7])),
            ("PUT", "z", "/b/c", Some(&[5, 6, 7])),
            ("GET", "z", "/b/c", Some(&[2, 5, 6, 7])),
            ("GET", "z", "/a;b", None),
            ("GET", "", "/a", None),
        ] {
            let map =
                HeaderMap::from_pairs([(":method", method), (":authority", host), (":path", path)]);
            let line = RequestLine::of(Headers::new(&map, &[]));
            let found = line.candidates(&index);
            assert_eq!(found.as_deref(), expected, "{method} {host} {path}");
            let missed = operations.iter().enumerate().find(|(at, operation)| {
                operation.matches(&line) != Truth::False
                    && found.as_ref().is_some_and(|found| !found.contains(at))
            });
            assert_eq!(missed, None, "{method} {host} {path}");
        }
    }

    #[test]
    fn an_operation_about_nothing_is_refused() {
        for text in [
            "{}",
            "[]",
            r#"[["x"]]"#,
            r#"{"paths":[]}"#,
            r#"{"path":["/a"]}"#,
            r#"{"paths":["a"]}"#,
        ] {
            assert!(serde_json::from_str::<Operation>(text).is_err(), "{text}");
        }
    }
}
