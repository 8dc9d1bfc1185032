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
    /// The names of variables, and which segment each stands for.
    names: Vec<(String, Place)>,
}

/// Which segment of a path a variable stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// So many from the first.
    Head(usize),
    /// So many after the `{**}`.
    Tail(usize),
}

/// One segment of a template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Segment {
    /// These bytes.
    Literal(Vec<u8>),
    /// Any bytes but none.
    One,
    /// Bytes, then any but none, then bytes: `report-{day}.csv`. Only [`PathTemplate::parse_with_parts`] reads these.
    Part {
        /// What the segment begins with.
        before: Vec<u8>,
        /// What it ends with.
        after: Vec<u8>,
    },
}

impl Segment {
    fn parse(text: &str) -> Option<Self> {
        match variable(text) {
            Some(name) => is_name(name).then_some(Self::One),
            None => is_literal(text).then(|| Self::Literal(text.as_bytes().to_vec())),
        }
    }

    fn parse_with_parts(text: &str) -> Option<Self> {
        Self::parse(text).or_else(|| {
            let (before, rest) = text.split_once('{')?;
            let (name, after) = rest.split_once('}')?;
            let good = is_name(name) && is_literal(before) && is_literal(after);
            good.then(|| Self::Part { before: before.into(), after: after.into() })
        })
    }

    fn matches(&self, segment: &[u8]) -> bool {
        match self {
            Self::Literal(literal) => literal == segment,
            Self::One => !segment.is_empty(),
            Self::Part { before, after } => {
                segment.len() > before.len().saturating_add(after.len())
                    && segment.starts_with(before)
                    && segment.ends_with(after)
            }
        }
    }
}

/// Whether a variable may have this name. An asterisk is one without.
fn is_name(name: &str) -> bool {
    let word = |c: char| c.is_ascii_alphanumeric() || "_-.".contains(c);
    name == "*" || (!name.is_empty() && name.chars().all(word))
}

fn is_literal(text: &str) -> bool {
    !text.contains(['{', '}', '*', '?', '#'])
}

/// What stands between the braces of a segment that is a variable.
fn variable(segment: &str) -> Option<&str> {
    segment.strip_prefix('{')?.strip_suffix('}')
}

/// Whether Envoy lets a variable stand for this byte, besides the slash (seen with its `uri_template` extension in 1.40:
/// `pchar` of RFC 3986).
fn in_envoys_variables(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~%!$&'()*+,;:@=".contains(&byte)
}

impl PathTemplate {
    /// The template that `text` writes, if it begins with `/` and every variable is a whole segment.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::read(text, Segment::parse)
    }

    /// The template that `text` writes, in which a variable may also be a part of a segment, one at most: `{name}.json`,
    /// `{id}:cancel`. Such a variable gives its segment to nobody.
    #[must_use]
    pub fn parse_with_parts(text: &str) -> Option<Self> {
        Self::read(text, Segment::parse_with_parts)
    }

    fn read(text: &str, segment: fn(&str) -> Option<Segment>) -> Option<Self> {
        let mut head = Vec::new();
        let mut tail: Option<Vec<Segment>> = None;
        let mut names = Vec::new();
        for part in text.strip_prefix('/')?.split('/') {
            if let Some(name) = variable(part).filter(|name| !name.starts_with('*')) {
                let place = match &tail {
                    None => Place::Head(head.len()),
                    Some(tail) => Place::Tail(tail.len()),
                };
                names.push((name.to_owned(), place));
            }
            match (part, &mut tail) {
                ("{**}", None) => tail = Some(Vec::new()),
                ("{**}", Some(_)) => return None,
                (part, None) => head.push(segment(part)?),
                (part, Some(tail)) => tail.push(segment(part)?),
            }
        }
        let template = Self { text: text.to_owned(), head, tail, names };
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
                Segment::Part { before, after } => {
                    example.extend_from_slice(&[before.as_slice(), b"x", after].concat());
                }
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

    /// Whether exactly one variable has this name.
    #[must_use]
    pub fn names_once(&self, name: &str) -> bool {
        self.names.iter().filter(|(other, _)| other == name).count() == 1
    }

    /// The segment that the variable of this name stands for in a path that matches.
    #[must_use]
    pub fn segment<'p>(&self, name: &str, path: &'p [u8]) -> Option<&'p [u8]> {
        let (_, place) = self.names.iter().find(|(other, _)| other == name)?;
        let mut segments = path.strip_prefix(b"/")?.split(|byte| *byte == b'/');
        match (place, &self.tail) {
            (Place::Head(at), _) => segments.nth(*at),
            (Place::Tail(at), Some(tail)) => {
                segments.rev().nth(tail.len().checked_sub(at.saturating_add(1))?)
            }
            (Place::Tail(_), None) => None,
        }
    }

    /// Whether Envoy would say that a path as sent, without its query, matches: there, variables stand for fewer bytes.
    #[must_use]
    pub fn matches_as_in_envoy(&self, path: &[u8]) -> bool {
        let Some(rest) = path.strip_prefix(b"/").filter(|_| self.matches(path)) else {
            return false;
        };
        let mut segments: Vec<&[u8]> = rest.split(|byte| *byte == b'/').collect();
        let literals = self.tail.iter().flatten().rev();
        for expected in literals {
            let segment = segments.pop().unwrap_or_default();
            if *expected == Segment::One && !segment.iter().all(|byte| in_envoys_variables(*byte)) {
                return false;
            }
        }
        segments.iter().enumerate().all(|(position, segment)| match self.head.get(position) {
            Some(Segment::Literal(_)) => true,
            // It has no such variables.
            Some(Segment::Part { .. }) => false,
            Some(Segment::One) | None => segment.iter().all(|byte| in_envoys_variables(*byte)),
        })
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
mod tests;
