//! From the document to rules, or a refusal.

mod amount;
mod concurrency;
mod parts;
mod raw;
mod rule;
mod status;

use std::collections::HashMap;
use std::rc::Rc;

use filter_core::config::{self, Object, Span, Whole};
use filter_core::headers::OwnedHeader;
use filter_core::matching::{Condition, Operation};
use filter_core::{HeaderName, Invalid, Rule};

pub(crate) use amount::divided;
pub(crate) use raw::{Contended, LimitHeaders};
pub(crate) use status::StatusPattern;

use crate::in_flight::Fleet;
use crate::key::{Key, Part};
use crate::limit::Limits;
use crate::table::Table;
use raw::{Raw, RawReply, RawRule};

/// The most rules: each may come to hold a megabyte of the proxy's memory.
const MAX_RULES: usize = 100;
/// The most proxies that a limit is divided among.
const MAX_REPLICAS: u64 = 10_000;

/// A document, compiled.
#[derive(Debug)]
pub(crate) struct Config {
    pub(crate) rules: Vec<LimitRule>,
    pub(crate) limit_headers: LimitHeaders,
    /// The response header that names the rule.
    pub(crate) rule_header: Option<HeaderName>,
    pub(crate) replicas: u64,
}

/// One limit on some requests.
#[derive(Clone, Debug)]
pub(crate) struct LimitRule {
    pub(crate) name: Rule,
    /// The requests it is about; all if none are said.
    pub(crate) about: Option<Operation>,
    /// What else must hold of them.
    pub(crate) when: Vec<Condition>,
    /// Those of which any of these holds are not counted.
    pub(crate) exempt: Vec<Condition>,
    pub(crate) key: Key,
    pub(crate) table: Table,
    pub(crate) quota: Quota,
    pub(crate) limit_from: Option<LimitFrom>,
    /// Of how many refusals of a hundred the client is told; of none in shadow mode.
    pub(crate) enforced: u8,
    pub(crate) contended: Contended,
    pub(crate) reply: Rc<ReplyPlan>,
}

/// What is limited, and to how much.
#[derive(Clone, Debug)]
pub(crate) enum Quota {
    /// Requests, or what they cost, by time.
    Rate(Rate),
    /// Requests at the same time.
    Concurrency(Concurrency),
}

/// A limit on requests by time.
#[derive(Clone, Debug)]
pub(crate) struct Rate {
    pub(crate) limits: Rc<Limits>,
    pub(crate) overrides: Overrides<Rc<Limits>>,
    pub(crate) cost: Cost,
    pub(crate) settle: Option<Settle>,
}

/// A limit on requests at the same time.
#[derive(Clone, Debug)]
pub(crate) struct Concurrency {
    pub(crate) most: u64,
    pub(crate) overrides: Overrides<u64>,
    pub(crate) fleet: Rc<Fleet>,
}

/// Limits by the text of each part of the key; none for keys that are not limited.
pub(crate) type Overrides<T> = HashMap<Vec<Vec<u8>>, Option<T>>;

/// A limit that the request brings along.
#[derive(Clone, Debug)]
pub(crate) struct LimitFrom {
    pub(crate) part: Part,
    pub(crate) max: u64,
}

/// What a request costs.
#[derive(Clone, Debug)]
pub(crate) struct Cost {
    /// The tokens, at least.
    pub(crate) tokens: u64,
    /// A header that says more, and the most that is believed.
    pub(crate) header: Option<(HeaderName, u64)>,
}

/// What its response makes of the cost.
#[derive(Clone, Debug)]
pub(crate) struct Settle {
    /// Only these responses cost anything.
    pub(crate) count_only: Option<Vec<StatusPattern>>,
    /// These cost nothing.
    pub(crate) refund: Vec<StatusPattern>,
    /// A header that says the cost, and the most that is believed.
    pub(crate) header: Option<(HeaderName, u64)>,
}

/// What a refused client is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ReplyPlan {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(HeaderName, Vec<u8>)>,
    pub(crate) body: Option<Vec<u8>>,
    pub(crate) content_type: Option<Vec<u8>>,
    /// Whether the body is a problem document (RFC 9457).
    pub(crate) problem: bool,
}

/// The rules that a document writes.
pub(crate) fn parse(document: &[u8]) -> Result<Config, Invalid> {
    let raw: Raw = config::parse(document)?;
    let rules = raw.rules.into_vec();
    if rules.len() > MAX_RULES {
        let expected = format!("at most {MAX_RULES} rules");
        return Err(Invalid::at("/rules", expected, rules.len().to_string()));
    }
    let replicas = raw.replicas.unwrap_or(Whole(1)).0;
    if !(1..=MAX_REPLICAS).contains(&replicas) {
        let expected = format!("a whole number from 1 to {MAX_REPLICAS}");
        return Err(Invalid::at("/replicas", expected, replicas.to_string()));
    }
    let reply = match raw.reply {
        Some(Object(reply)) => reply.compile().map_err(|invalid| invalid.under("/reply"))?,
        None => ReplyPlan::default(),
    };
    let reply = Rc::new(reply);
    let mut seen: HashMap<Rule, usize> = HashMap::new();
    let compile = |(index, Object(rule)): (usize, Object<RawRule>)| {
        let pointer = format!("/rules/{index}");
        if let Some(first) = seen.insert(rule.name.clone(), index) {
            let found = format!("`{}`, the name of /rules/{first}", rule.name);
            return Err(Invalid::at(format!("{pointer}/name"), "a name of its own", found));
        }
        rule.compile(replicas, &reply).map_err(|invalid| invalid.under(&pointer))
    };
    Ok(Config {
        rules: rules.into_iter().enumerate().map(compile).collect::<Result<_, _>>()?,
        limit_headers: raw.limit_headers,
        rule_header: raw.rule_header.map(|OwnedHeader(name)| name),
        replicas,
    })
}

impl Default for ReplyPlan {
    fn default() -> Self {
        Self { status: 429, headers: Vec::new(), body: None, content_type: None, problem: false }
    }
}

impl RawReply {
    fn compile(self) -> Result<ReplyPlan, Invalid> {
        let status = self.status.unwrap_or(Whole(429)).0;
        let fits = u16::try_from(status).ok().filter(|status| (400..600).contains(status));
        let Some(status) = fits else {
            let expected = "a status from 400 to 599";
            return Err(Invalid::at("/status", expected, status.to_string()));
        };
        if self.problem && (self.body.is_some() || self.content_type.is_some()) {
            let expected = "neither `body` nor `contentType` beside it";
            return Err(Invalid::at("/problem", expected, "one"));
        }
        if self.body.is_none() && self.content_type.is_some() {
            return Err(Invalid::at("/contentType", "`body` beside it", "none"));
        }
        let mut headers = Vec::new();
        for (index, Object(header)) in
            self.headers.into_iter().flat_map(|headers| headers.into_vec()).enumerate()
        {
            let pointer = format!("/headers/{index}/value");
            headers.push((header.name.0, field(&pointer, &header.value)?));
        }
        let content_type =
            self.content_type.map(|text| field("/contentType", &text)).transpose()?;
        let body = self.body.map(String::into_bytes);
        Ok(ReplyPlan { status, headers, body, content_type, problem: self.problem })
    }
}

/// The value of a header (RFC 9110 §5.5).
fn field(pointer: &str, text: &str) -> Result<Vec<u8>, Invalid> {
    if text.bytes().any(|byte| byte.is_ascii_control() && byte != b'\t') {
        return Err(Invalid::at(pointer, "a header's value", "control characters"));
    }
    Ok(text.as_bytes().to_vec())
}

/// The ticks of a duration that a limit can count.
fn span(pointer: &str, span: Span) -> Result<std::time::Duration, Invalid> {
    let second = std::time::Duration::from_secs(1);
    let year = second.saturating_mul(365 * 86_400);
    if (second..=year).contains(&span.0) {
        return Ok(span.0);
    }
    Err(Invalid::at(pointer, "a duration from 1s to 365 days", format!("{:?}", span.0)))
}
