//! Which route a request takes: one lookup in a trie of path segments, however many routes there are.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::time::Duration;

use filter_core::matching::PathTemplate;
use filter_core::matching::template::Segment;
use filter_core::metrics::LabelValue;
use rustc_hash::FxHashMap;

use crate::method::{Method, Methods};

/// A path template that requests are told apart by.
#[derive(Clone, Debug)]
pub(crate) struct Route {
    /// The template.
    pub(crate) template: PathTemplate,
    /// The template as a label.
    pub(crate) label: LabelValue,
    /// The methods it is about.
    pub(crate) methods: Methods,
    /// What it is called, if not METHOD TEMPLATE.
    pub(crate) operation: Option<String>,
    /// The statuses that are no error on it.
    pub(crate) expected: Vec<u16>,
    /// How long a good request takes at most, if it has a threshold of its own.
    pub(crate) threshold: Option<Duration>,
    /// Of two routes that would take the same requests the one of the lower rank has them, if the ranks differ.
    pub(crate) source: usize,
}

/// Two routes of one source, by position in the document, that would take the same requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Clash {
    /// The earlier one.
    pub(crate) first: usize,
    /// The later one.
    pub(crate) second: usize,
}

/// All routes, best first, and a trie to find the best of those that match.
///
/// The trie holds the segments before a `{**}` in order and those after it in reverse, so that a path is read from both
/// ends at most. Of siblings, a lookup visits at most one literal, one variable, one `{**}` and, for each two lengths that
/// literals around a variable have there, one of those; and no node twice: whatever a client sends, it costs no more than
/// walking the configuration once, and mostly as much as the path is long.
#[derive(Debug)]
pub(crate) struct Routes {
    ranked: Vec<Route>,
    root: Node,
}

impl Routes {
    /// Compiles routes.
    ///
    /// Of two routes that match, the better one is that without `{**}`, then that with fewer variables, then that with
    /// more literal bytes (these two as Apache SkyWalking orders OpenAPI paths), then that which is literal further to
    /// the left, wholly or in part. No two different shapes that match one path are equal in all of these.
    pub(crate) fn compile(routes: Vec<Route>) -> Result<Self, Clash> {
        let mut ranked: Vec<(usize, Route)> = routes.into_iter().enumerate().collect();
        ranked.sort_by_cached_key(|(_, route)| (precedence(&route.template), route.source));
        let mut root = Node::default();
        let mut kept: Vec<(usize, Route)> = Vec::with_capacity(ranked.len());
        for (position, mut route) in ranked {
            let rank = kept.len();
            let end = root.leaf(&route.template, rank);
            for (earlier, other) in end.iter().filter_map(|rank| kept.get(*rank)) {
                if !other.methods.overlaps(route.methods) {
                    continue;
                }
                if other.source == route.source {
                    let (first, second) = ((*earlier).min(position), (*earlier).max(position));
                    return Err(Clash { first, second });
                }
                route.methods = route.methods.without(other.methods);
            }
            if !route.methods.is_empty() {
                end.push(rank);
                kept.push((position, route));
            }
        }
        root.settle();
        Ok(Self { ranked: kept.into_iter().map(|(_, route)| route).collect(), root })
    }

    /// All routes, best first.
    pub(crate) fn ranked(&self) -> &[Route] {
        &self.ranked
    }

    /// The rank of the best route for a canonical path.
    pub(crate) fn find(&self, path: &[u8], method: Method) -> Option<usize> {
        self.look_up(path, method).best
    }

    fn look_up(&self, path: &[u8], method: Method) -> Lookup<'_> {
        let mut lookup = Lookup { ranked: &self.ranked, method, best: None, steps: 0 };
        if let Some(path) = path.strip_prefix(b"/") {
            lookup.walk(&self.root, Some(path), Side::Front);
        }
        lookup
    }
}

/// What a template is at one segment, better ones first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Literal,
    /// Literal in so many bytes, of which so many come before the variable.
    Part(Reverse<usize>, Reverse<usize>),
    One,
    Rest,
}

fn precedence(template: &PathTemplate) -> (bool, usize, Reverse<usize>, Vec<Kind>) {
    let mut kinds = Vec::new();
    let mut bytes = 0_usize;
    let mut list = |segments: &[Segment], kinds: &mut Vec<Kind>| {
        for segment in segments {
            kinds.push(match segment {
                Segment::Literal(literal) => {
                    bytes = bytes.saturating_add(literal.len());
                    Kind::Literal
                }
                Segment::Part { before, after } => {
                    let length = before.len().saturating_add(after.len());
                    bytes = bytes.saturating_add(length);
                    Kind::Part(Reverse(length), Reverse(before.len()))
                }
                Segment::One => Kind::One,
            });
        }
    };
    list(template.head(), &mut kinds);
    if let Some(tail) = template.tail() {
        kinds.push(Kind::Rest);
        list(tail, &mut kinds);
    }
    let variables = kinds.iter().filter(|kind| matches!(kind, Kind::Part(..) | Kind::One)).count();
    (template.tail().is_some(), variables, Reverse(bytes), kinds)
}

type Children = FxHashMap<Vec<u8>, Node>;

/// So many siblings at most are gone by one after the other: most are told apart by their lengths, and a hash is more code.
const FEW: usize = 8;

/// What may follow one segment of a template.
#[derive(Debug, Default)]
struct Node {
    /// The literal segments, once all are known and if they are few.
    few: Vec<(Vec<u8>, Node)>,
    /// Those that are not few. One step finds the child of a segment, however many there are. The hash is the same in
    /// every run, but what is in the map is the configuration's, so that no client can make it slow.
    literals: Children,
    /// Segments that are variable in part, by how many bytes stand before the variable and behind it; then by those bytes.
    parts: BTreeMap<(usize, usize), Children>,
    one: Option<Box<Node>>,
    /// What follows a `{**}`, from the end of the path.
    rest: Option<Box<Node>>,
    /// The routes that end here, of which no two share a method.
    ends: Vec<usize>,
    /// The best rank from here on.
    best: usize,
}

impl Node {
    fn new(best: usize) -> Self {
        Self { best, ..Self::default() }
    }

    /// Where the template ends, making the way to there. Ranks must come in order.
    fn leaf(&mut self, template: &PathTemplate, rank: usize) -> &mut Vec<usize> {
        let mut node = self;
        for segment in template.head() {
            node = node.child(segment, rank);
        }
        if let Some(tail) = template.tail() {
            node = node.rest.get_or_insert_with(|| Box::new(Self::new(rank)));
            for segment in tail.iter().rev() {
                node = node.child(segment, rank);
            }
        }
        &mut node.ends
    }

    fn child(&mut self, segment: &Segment, rank: usize) -> &mut Self {
        match segment {
            Segment::Literal(literal) => {
                self.literals.entry(literal.clone()).or_insert_with(|| Self::new(rank))
            }
            Segment::Part { before, after } => {
                let children = self.parts.entry((before.len(), after.len())).or_default();
                let key = [before.as_slice(), after].concat();
                children.entry(key).or_insert_with(|| Self::new(rank))
            }
            Segment::One => self.one.get_or_insert_with(|| Box::new(Self::new(rank))),
        }
    }

    /// Makes ready for lookups: there is no more to come.
    fn settle(&mut self) {
        let parts = self.parts.values_mut().flat_map(Children::values_mut);
        let variable = self.one.iter_mut().chain(&mut self.rest).map(Box::as_mut);
        self.literals.values_mut().chain(parts).chain(variable).for_each(Self::settle);
        if self.literals.len() <= FEW {
            self.few = std::mem::take(&mut self.literals).into_iter().collect();
        }
    }

    /// What follows this literal segment.
    fn literal(&self, segment: &[u8]) -> Option<&Self> {
        if !self.literals.is_empty() {
            return self.of_many(segment);
        }
        self.few.iter().find(|(literal, _)| literal == segment).map(|(_, next)| next)
    }

    #[inline(never)]
    fn of_many(&self, segment: &[u8]) -> Option<&Self> {
        self.literals.get(segment)
    }
}

/// From which end segments are taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Side {
    Front,
    /// Behind a `{**}`.
    Back,
}

struct Lookup<'a> {
    ranked: &'a [Route],
    method: Method,
    best: Option<usize>,
    /// How many nodes were visited, and looked for.
    steps: usize,
}

impl Lookup<'_> {
    /// Looks on from `node` with what is `left` of the path: segments joined by slashes, or none at all.
    fn walk(&mut self, node: &Node, left: Option<&[u8]>, side: Side) {
        if self.best.is_some_and(|best| best <= node.best) {
            return;
        }
        self.steps = self.steps.wrapping_add(1);
        // A `{**}` takes at least one segment, perhaps an empty one.
        if left.is_some() == (side == Side::Back) {
            self.offer(&node.ends);
        }
        let Some(left) = left else {
            return;
        };
        let (segment, beyond) = cut(left, side);
        if let Some(next) = node.literal(segment) {
            self.walk(next, beyond, side);
        }
        if !node.parts.is_empty() {
            self.walk_parts(node, segment, beyond, side);
        }
        if let (Some(next), false) = (&node.one, segment.is_empty()) {
            self.walk(next, beyond, side);
        }
        if let Some(next) = &node.rest {
            self.walk(next, Some(left), Side::Back);
        }
    }

    #[inline(never)]
    fn walk_parts(&mut self, node: &Node, segment: &[u8], beyond: Option<&[u8]>, side: Side) {
        for ((before, after), children) in &node.parts {
            self.steps = self.steps.wrapping_add(1);
            let next = around(segment, *before, *after).and_then(|key| children.get(&key));
            if let Some(next) = next {
                self.walk(next, beyond, side);
            }
        }
    }

    fn offer(&mut self, ends: &[usize]) {
        let takes = |rank: &&usize| {
            self.ranked.get(**rank).is_some_and(|route| route.methods.contains(self.method))
        };
        if let Some(rank) = ends.iter().find(takes) {
            self.best = Some(self.best.map_or(*rank, |best| best.min(*rank)));
        }
    }
}

/// So many bytes of the begin and the end of a segment, if there are some between them.
fn around(segment: &[u8], before: usize, after: usize) -> Option<Vec<u8>> {
    let behind = segment.len().checked_sub(after).filter(|behind| *behind > before)?;
    Some([segment.get(..before)?, segment.get(behind..)?].concat())
}

/// The segment at one side, and what is left beyond it.
fn cut(path: &[u8], side: Side) -> (&[u8], Option<&[u8]>) {
    let slash = |byte: &u8| *byte == b'/';
    let at = match side {
        Side::Front => path.iter().position(slash),
        Side::Back => path.iter().rposition(slash),
    };
    let Some((front, back)) = at.and_then(|at| path.split_at_checked(at)) else {
        return (path, None);
    };
    let back = back.get(1..).unwrap_or_default();
    match side {
        Side::Front => (front, Some(back)),
        Side::Back => (back, Some(front)),
    }
}

#[cfg(test)]
mod tests;
