//! Path templates: segments, some of them variable.

use super::path::canonical;

/// A template like `/users/{id}/files/{**}`: `{name}` and `{*}` stand for one segment of at least one byte, `{**}`
/// for the rest up to what follows it, perhaps nothing, at most once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PathTemplate {
    text: String,
    head: Vec<Segment>,
    /// What follows a `{**}`, if there is one.
    tail: Option<Vec<Segment>>,
}

/// One segment of a template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Segment {
    /// These bytes.
    Literal(Vec<u8>),
    /// Any bytes but none.
    One,
}

impl Segment {
    fn parse(text: &str) -> Option<Self> {
        match text.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')) {
            Some("*") => Some(Self::One),
            Some(name) => {
                let word = |c: char| c.is_ascii_alphanumeric() || "_-.".contains(c);
                (!name.is_empty() && name.chars().all(word)).then_some(Self::One)
            }
            None => (!text.contains(['{', '}', '*', '?', '#']))
                .then(|| Self::Literal(text.as_bytes().to_vec())),
        }
    }

    fn matches(&self, segment: &[u8]) -> bool {
        match self {
            Self::Literal(literal) => literal == segment,
            Self::One => !segment.is_empty(),
        }
    }
}

impl PathTemplate {
    /// The template that `text` writes, if it begins with `/` and every brace is a whole segment.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut head = Vec::new();
        let mut tail: Option<Vec<Segment>> = None;
        for part in text.strip_prefix('/')?.split('/') {
            match (part, &mut tail) {
                ("{**}", None) => tail = Some(Vec::new()),
                ("{**}", Some(_)) => return None,
                (part, None) => head.push(Segment::parse(part)?),
                (part, Some(tail)) => tail.push(Segment::parse(part)?),
            }
        }
        let template = Self { text: text.to_owned(), head, tail };
        template.is_reachable().then_some(template)
    }

    /// Whether some canonical path matches. One that none does is a mistake.
    fn is_reachable(&self) -> bool {
        let mut example = Vec::new();
        let rest = self.tail.as_ref().map(|_| &Segment::One);
        for segment in self.head.iter().chain(rest).chain(self.tail.iter().flatten()) {
            example.push(b'/');
            match segment {
                Segment::Literal(literal) => example.extend_from_slice(literal),
                Segment::One => example.push(b'x'),
            }
        }
        canonical(&example).is_ok_and(|form| *form == *example)
    }

    /// The template as written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The segments before a `{**}`, or all.
    #[must_use]
    pub fn head(&self) -> &[Segment] {
        &self.head
    }

    /// The segments after a `{**}`, if there is one.
    #[must_use]
    pub fn tail(&self) -> Option<&[Segment]> {
        self.tail.as_deref()
    }

    /// Whether a canonical path matches.
    #[must_use]
    pub fn matches(&self, path: &[u8]) -> bool {
        let Some(path) = path.strip_prefix(b"/") else {
            return false;
        };
        let mut segments = path.split(|byte| *byte == b'/');
        let head = self
            .head
            .iter()
            .all(|pattern| segments.next().is_some_and(|part| pattern.matches(part)));
        match &self.tail {
            None => head && segments.next().is_none(),
            Some(tail) => {
                let tail = tail
                    .iter()
                    .rev()
                    .all(|pattern| segments.next_back().is_some_and(|part| pattern.matches(part)));
                // `{**}` takes what lies between two slashes, so one segment, perhaps an empty one, must be left.
                head && tail && segments.next().is_some()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn segments_match_as_in_istio() {
        // Istio, pilot/pkg/security/authz TestAuthz_PathTemplating.
        for (template, path, matches) in [
            ("/allow/admin/{**}", "/allow/admin/", true),
            ("/allow/admin/{**}", "/allow/admin", false),
            ("/allow/admin/{**}", "/allow/admin/a/b", true),
            ("/foo/{*}/bar/{**}", "/foo/buzz/bar/bat.txt", true),
            ("/foo/{*}/bar/{**}", "/foo//bar/bat.txt", false),
            ("/foo/{*}/bar/{**}", "/foo/a/b/bar/x", false),
            ("/store/{**}/cart", "/store//cart", true),
            ("/store/{**}/cart", "/store/a/b/cart", true),
            ("/store/{**}/cart", "/store/cart", false),
            ("/users/{id}", "/users/42", true),
            ("/users/{id}", "/users/", false),
            ("/users/{id}", "/users/42/", false),
            ("/users/{id}/", "/users/42/", true),
            ("/", "/", true),
            ("/{**}", "/", true),
            ("/{*}", "/", false),
            ("/odata/{*}", "/odata/Products(1)%20x\u{ff}", true),
        ] {
            assert_eq!(
                PathTemplate::parse(template).unwrap().matches(path.as_bytes()),
                matches,
                "{template} on {path}"
            );
        }
    }

    #[test]
    fn half_segments_and_doubled_rests_are_refused() {
        for text in [
            "",
            "a",
            "/a{id}",
            "/{id}b",
            "/{",
            "/{}",
            "/{a b}",
            "/{**}/{**}",
            "/a*",
            "/a//b",
            "//",
            "/{**}//a",
            "/a//{**}",
        ] {
            assert_eq!(PathTemplate::parse(text), None, "{text}");
        }
    }
}
