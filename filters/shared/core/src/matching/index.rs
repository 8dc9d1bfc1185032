//! Which rules may be about a request: by host, method and where the path begins, so that rules about other things cost
//! it nothing.

use std::borrow::Cow;
use std::collections::BTreeMap;

use super::template::Segment;
use super::{HostPattern, PathPattern, StringPattern};

/// Fewer rules are gone through as fast.
const WORTH_AN_INDEX: usize = 8;
/// An operation that names more combinations is found by fewer of its fields.
const MAX_ENTRIES: usize = 64;

type Bytes = Box<[u8]>;

/// What an operation is about, as far as rules are found by it. `None` is any.
#[derive(Clone, Copy, Debug, Default)]
pub struct About<'a> {
    /// One of these hosts.
    pub hosts: Option<&'a [HostPattern]>,
    /// One of these methods.
    pub methods: Option<&'a [StringPattern]>,
    /// One of these paths.
    pub paths: Option<&'a [PathPattern]>,
}

/// The rules of a list, by host, then method, then path.
#[derive(Clone, Debug, Default)]
pub struct Index {
    hosts: Keyed<Keyed<Paths>>,
    rules: usize,
    /// Whether a host is named with its port.
    ports: bool,
}

/// What is about one value, by the value, and what is about any.
#[derive(Clone, Debug, Default)]
struct Keyed<T> {
    one: BTreeMap<Bytes, T>,
    any: T,
}

impl<T: Default> Keyed<T> {
    fn entry(&mut self, key: Option<Bytes>) -> &mut T {
        match key {
            Some(key) => self.one.entry(key).or_default(),
            None => &mut self.any,
        }
    }
}

/// Positions of rules.
#[derive(Clone, Debug, Default)]
struct Paths {
    exact: BTreeMap<Bytes, Vec<usize>>,
    /// By what the path begins with, up to a slash and with it.
    under: BTreeMap<Bytes, Vec<usize>>,
    /// The length of the longest key of `under`.
    longest: usize,
    any: Vec<usize>,
}

/// How a path can be found.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Key {
    Exact(Bytes),
    Under(Bytes),
    Any,
}

impl Index {
    /// An index over these rules, each about any of some operations, or about everything if there are none; if the rules
    /// are enough to need one.
    pub fn over<'a>(rules: impl ExactSizeIterator<Item = Vec<About<'a>>>) -> Option<Self> {
        if rules.len() < WORTH_AN_INDEX {
            return None;
        }
        let mut index = Self { rules: rules.len(), ..Self::default() };
        for (at, operations) in rules.enumerate() {
            if operations.is_empty() {
                index.insert(None, None, Key::Any, at);
            }
            for about in operations {
                index.add(about, at);
            }
        }
        Some(index)
    }

    fn add(&mut self, about: About<'_>, at: usize) {
        let hosts = exact(about.hosts, HostPattern::pattern);
        let methods = exact(about.methods, |method| method);
        let paths: Vec<Key> = match about.paths {
            None => vec![Key::Any],
            Some(patterns) => patterns.iter().map(key).collect(),
        };
        let mut count = paths.len();
        let mut affordable = |keys: Vec<Option<Bytes>>| {
            count = count.saturating_mul(keys.len());
            if count > MAX_ENTRIES { vec![None] } else { keys }
        };
        let (hosts, methods) = (affordable(hosts), affordable(methods));
        for host in &hosts {
            for method in &methods {
                for path in &paths {
                    self.insert(host.clone(), method.clone(), path.clone(), at);
                }
            }
        }
    }

    fn insert(&mut self, host: Option<Bytes>, method: Option<Bytes>, path: Key, at: usize) {
        self.ports |= host.as_ref().is_some_and(|host| host.contains(&b':'));
        let paths = self.hosts.entry(host).entry(method);
        match path {
            Key::Any => paths.any.push(at),
            Key::Exact(path) => paths.exact.entry(path).or_default().push(at),
            Key::Under(folder) => {
                paths.longest = paths.longest.max(folder.len());
                paths.under.entry(folder).or_default().push(at);
            }
        }
    }

    /// The positions of the rules that may be about this canonical path, method, and host of these names, in order; `None`
    /// if all may. Of the names, the one without a port comes first.
    pub fn candidates<'n>(
        &self,
        path: &[u8],
        method: &[u8],
        names: impl Iterator<Item = Cow<'n, [u8]>>,
    ) -> Option<Vec<usize>> {
        let mut found = Vec::new();
        let mut collect = |methods: &Keyed<Paths>| {
            if let Some(paths) = methods.one.get(method) {
                paths.collect(path, &mut found);
            }
            methods.any.collect(path, &mut found);
        };
        // Without its port comes first, and is all that is looked for unless a rule names a port.
        for name in names.take(if self.ports { usize::MAX } else { 1 }) {
            if let Some(methods) = self.hosts.one.get(&*name) {
                collect(methods);
            }
        }
        collect(&self.hosts.any);
        found.sort_unstable();
        found.dedup();
        (found.len() < self.rules).then_some(found)
    }
}

impl Paths {
    fn collect(&self, path: &[u8], found: &mut Vec<usize>) {
        found.extend(&self.any);
        found.extend(self.exact.get(path).into_iter().flatten());
        if self.under.is_empty() {
            return;
        }
        let slashes = path.iter().take(self.longest).enumerate().filter(|(_, byte)| **byte == b'/');
        for (slash, _) in slashes {
            let folder = path.get(..=slash).unwrap_or_default();
            found.extend(self.under.get(folder).into_iter().flatten());
        }
    }
}

/// The values as keys, if all of them are exact.
fn exact<T>(values: Option<&[T]>, pattern: impl Fn(&T) -> &StringPattern) -> Vec<Option<Bytes>> {
    let keys: Option<Vec<Option<Bytes>>> = values.and_then(|values| {
        values
            .iter()
            .map(|value| match pattern(value) {
                StringPattern::Exact(text) => Some(Some(text.as_slice().into())),
                _ => None,
            })
            .collect()
    });
    keys.unwrap_or_else(|| vec![None])
}

fn key(pattern: &PathPattern) -> Key {
    match pattern {
        PathPattern::String(StringPattern::Exact(path)) => Key::Exact(path.as_slice().into()),
        PathPattern::String(StringPattern::Prefix(prefix)) => under(prefix),
        PathPattern::String(StringPattern::Suffix(_) | StringPattern::Present)
        | PathPattern::Regex(_) => Key::Any,
        PathPattern::Template(template) => {
            let mut folder = b"/".to_vec();
            for segment in template.head() {
                let Segment::Literal(literal) = segment else { break };
                folder.extend_from_slice(literal);
                folder.push(b'/');
            }
            // The last segment has no slash behind it.
            let literal =
                template.head().iter().all(|segment| matches!(segment, Segment::Literal(_)));
            if literal && template.tail().is_none() {
                folder.pop();
                return Key::Exact(folder.into());
            }
            under(&folder)
        }
    }
}

/// The longest folder that all paths with this prefix lie in.
fn under(prefix: &[u8]) -> Key {
    match prefix.iter().rposition(|byte| *byte == b'/') {
        Some(slash) => Key::Under(prefix.get(..=slash).unwrap_or_default().into()),
        None => Key::Any,
    }
}
