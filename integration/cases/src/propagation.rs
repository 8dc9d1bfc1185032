//! The format of a propagation suite: what trace headers a request comes with, and what must be true of those it leaves
//! with. Read natively and through a real Envoy, and judged without any filter's code.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde::Deserialize;

/// A suite of propagation cases.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PropagationSuite {
    /// What the suite shows.
    pub about: String,
    /// Where its facts are from.
    pub source: String,
    /// The cases.
    pub cases: Vec<PropagationCase>,
}

/// One case: it passes if all its requests do.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PropagationCase {
    /// Its name in the source.
    pub test: String,
    /// What is sent.
    pub requests: Vec<PropagationRequest>,
}

/// A request, and what must be true of what the upstream gets.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PropagationRequest {
    /// Header lines in order.
    pub headers: Vec<(String, String)>,
    /// How often it is sent. Every time the parent id must be another.
    #[serde(default = "super::once")]
    pub times: u32,
    /// What must be true, besides there being one valid `traceparent` of version 00 and no invalid `tracestate`.
    #[serde(default)]
    pub expect: Expected,
}

/// What must be true of the headers that leave.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "camelCase")]
pub struct Expected {
    /// The trace goes on.
    pub trace_id: Option<String>,
    /// It is none of these.
    pub trace_id_not: Vec<String>,
    /// The sender is not this span.
    pub parent_id_not: Option<String>,
    /// These flags are set.
    pub flags: u8,
    /// `tracestate` has these members.
    pub members: BTreeMap<String, String>,
    /// In this order.
    pub order: Vec<String>,
    /// One of these members.
    pub any_of: Vec<String>,
    /// None with these keys.
    pub absent: Vec<String>,
    /// And this many.
    pub member_count: Option<usize>,
}

impl PropagationSuite {
    /// Reads a suite.
    ///
    /// # Errors
    /// When the file cannot be read or is not of the format.
    pub fn read(path: &Path) -> Result<Self, String> {
        let fault = |error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
        let text = std::fs::read_to_string(path).map_err(|error| fault(&error))?;
        serde_saphyr::from_str(&text).map_err(|error| fault(&error))
    }

    /// The cases that do not pass, each with what is wrong. `send` sends header lines, and tells those that leave by
    /// their names, all copies of each.
    pub fn failures(
        &self,
        mut send: impl FnMut(&[(String, String)]) -> Result<BTreeMap<String, Vec<String>>, String>,
    ) -> Vec<String> {
        let mut told = Vec::new();
        for case in &self.cases {
            for request in &case.requests {
                let mut parents = BTreeSet::new();
                for _ in 0..request.times {
                    let judged = send(&request.headers).and_then(|sent| {
                        let parent = request.expect.judge(&sent)?;
                        let fresh = parents.insert(parent);
                        fresh.then_some(()).ok_or_else(|| "the same parent id again".to_owned())
                    });
                    if let Err(wrong) = judged {
                        told.push(format!("{}: {:?}: {wrong}", case.test, request.headers));
                    }
                }
            }
        }
        told
    }
}

impl Expected {
    /// The parent id that leaves, if all is as it must be.
    fn judge(&self, sent: &BTreeMap<String, Vec<String>>) -> Result<String, String> {
        let copies = |name: &str| sent.get(name).cloned().unwrap_or_default();
        let traceparent = match copies("traceparent").as_slice() {
            [one] => one.clone(),
            others => return Err(format!("expected one traceparent, found {others:?}")),
        };
        let (trace, parent, flags) = place(&traceparent)?;
        let members = members(&copies("tracestate").join(","))?;
        let value = |key: &str| members.iter().find(|(other, _)| other == key).map(|(_, v)| v);
        let position = |key: &String| members.iter().position(|(other, _)| other == key);
        let order: Vec<Option<usize>> = self.order.iter().map(position).collect();
        let pairs: Vec<String> =
            members.iter().map(|(key, value)| format!("{key}={value}")).collect();
        let facts = [
            ("traceId", self.trace_id.as_deref().is_none_or(|expected| expected == trace)),
            ("traceIdNot", self.trace_id_not.iter().all(|other| other != trace)),
            ("parentIdNot", self.parent_id_not.as_deref() != Some(parent)),
            ("flags", flags & self.flags == self.flags),
            ("members", self.members.iter().all(|(key, held)| value(key) == Some(held))),
            ("order", order.iter().all(Option::is_some) && order.is_sorted()),
            (
                "anyOf",
                self.any_of.is_empty() || self.any_of.iter().any(|pair| pairs.contains(pair)),
            ),
            ("absent", self.absent.iter().all(|key| value(key).is_none())),
            ("memberCount", self.member_count.is_none_or(|count| count == members.len())),
        ];
        match facts.iter().find(|(_, holds)| !holds) {
            None => Ok(parent.to_owned()),
            Some((fact, _)) => Err(format!("{fact} does not hold: {traceparent}, {pairs:?}")),
        }
    }
}

/// What a `traceparent` of version 00 says, which must be valid: the trace, the span that sends, and the flags.
///
/// # Errors
/// What is not valid.
pub fn place(traceparent: &str) -> Result<(&str, &str, u8), String> {
    let fields: Vec<&str> = traceparent.split('-').collect();
    let hex = |text: &str, width| {
        text.len() == width && text.bytes().all(|byte| b"0123456789abcdef".contains(&byte))
    };
    let some = |text: &str| text.bytes().any(|byte| byte != b'0');
    match fields.as_slice() {
        ["00", trace, parent, flags]
            if hex(trace, 32)
                && hex(parent, 16)
                && hex(flags, 2)
                && some(trace)
                && some(parent) =>
        {
            Ok((*trace, *parent, u8::from_str_radix(flags, 16).unwrap_or_default()))
        }
        _ => Err(format!("not valid: {traceparent}")),
    }
}

/// The members of a `tracestate`, which must be valid.
///
/// # Errors
/// The first that is not.
pub fn members(list: &str) -> Result<Vec<(String, String)>, String> {
    let mut members = Vec::new();
    for member in list.split(',').map(|member| member.trim_matches([' ', '\t'])) {
        if member.is_empty() {
            continue;
        }
        let start = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
        let valid = member.split_once('=').filter(|(key, value)| {
            (1..=256).contains(&key.len())
                && key.as_bytes().first().is_some_and(start)
                && key.bytes().all(|byte| start(&byte) || b"_-*/@".contains(&byte))
                && (1..=256).contains(&value.len())
                && value.bytes().all(|byte| matches!(byte, b' '..=b'~') && byte != b'=')
        });
        let (key, value) = valid.ok_or_else(|| format!("not valid in tracestate: {member:?}"))?;
        members.push((key.to_owned(), value.to_owned()));
    }
    Ok(members)
}
