//! Reads one exchange from the proxy, each thing on first ask.

use std::cell::{Cell, OnceCell, RefCell};

use filter_core::matching::Truth;
use filter_core::view::{
    Attribute, DIRECT_REMOTE_IP, Exchange, ISTIO_PEER_PRINCIPAL, JWT_AUTHN, Kind, Value, only,
};
use filter_core::{Expression, Filter, HeaderMap, Phase};

use crate::abi::{self, Map, Status};
use crate::cel::{Compiled, Conditions};
use crate::wire;

/// From how many attributes on one CEL expression costs no more than single properties, even if one of them is not asked
/// for: it costs as much as two of them, and half as much again for each.
const WORTH_A_BATCH: usize = 6;

/// How to fetch the attributes that a filter declared for one phase, and to judge its conditions.
#[derive(Default)]
pub(crate) struct Plan {
    /// In order, each with the path that the proxy knows it by.
    attributes: Vec<(Attribute, Vec<u8>)>,
    /// The expression that yields them all, if that pays and the proxy has CEL.
    expression: Option<Compiled>,
    conditions: Conditions,
}

impl Plan {
    /// Plans for a phase. Asks the proxy to compile the expression, so the root context must be the current one.
    pub(crate) fn of<F: Filter>(filter: &F, phase: Phase) -> Self {
        let mut attributes = filter.attributes(phase);
        attributes.sort();
        attributes.dedup();
        let expression = (attributes.len() >= WORTH_A_BATCH)
            .then(|| Compiled::new(&cel_list(&attributes)).ok())
            .flatten();
        let attributes = attributes.into_iter().map(|each| (each, path(each))).collect();
        Self { attributes, expression, conditions: Conditions::default() }
    }

    /// The same, for a phase in which these conditions may be asked about.
    pub(crate) fn judging(self, conditions: Conditions) -> Self {
        Self { conditions, ..self }
    }

    /// The path of an attribute, if the filter declared it.
    fn path(&self, attribute: Attribute) -> Option<&[u8]> {
        // They are few, and to order two of them takes more code than to go through all.
        let declared = self.attributes.iter().find(|(each, _)| *each == attribute);
        declared.map(|(_, path)| path.as_slice())
    }

    /// The values of all attributes, if they come together.
    #[inline(never)]
    fn batch(&self) -> Option<Vec<(Attribute, Option<Value>)>> {
        let values = wire::list(self.expression.as_ref()?.evaluate().ok()?)?;
        if values.len() != self.attributes.len() {
            return None;
        }
        let typed = self.attributes.iter().zip(values).map(|((attribute, _), bytes)| {
            let value = wire::value(attribute.kind(), bytes);
            (*attribute, value.filter(|value| !says_nothing(*attribute, value)))
        });
        Some(typed.collect())
    }
}

/// Whether the value is the proxy's word for there being none. What Istio leaves for us went through Envoy's formatter,
/// which writes a dash for it.
fn says_nothing(attribute: Attribute, value: &Value) -> bool {
    let Value::Text(text) = value else { return false };
    text.is_empty() || (attribute == Attribute::PeerUri && text == b"-")
}

/// A CEL list of the attributes. An absent one would fail the whole list, so it yields an empty string instead.
fn cel_list(attributes: &[Attribute]) -> String {
    let items: Vec<String> = attributes
        .iter()
        .map(|attribute| match attribute {
            Attribute::FilterState(name) => {
                format!("'wasm.{name}' in filter_state ? filter_state['wasm.{name}'] : b''")
            }
            Attribute::DirectRemoteIp => {
                let key = DIRECT_REMOTE_IP;
                format!("'{key}' in filter_state ? filter_state['{key}'] : b''")
            }
            Attribute::PeerUri => {
                let (uri, key) = ("connection.uri_san_peer_certificate", ISTIO_PEER_PRINCIPAL);
                format!(
                    "has({uri}) && {uri} != '' ? {uri} : \
                     '{key}' in filter_state ? filter_state['{key}'] : ''"
                )
            }
            // A step into what is not there would fail the list, so each is looked for first.
            Attribute::JwtClaim { payload, claim } => {
                let filter = format!("metadata.filter_metadata['{JWT_AUTHN}']");
                format!(
                    "'{JWT_AUTHN}' in metadata.filter_metadata && '{payload}' in {filter} && \
                     '{claim}' in {filter}['{payload}'] ? {filter}['{payload}']['{claim}'] : ''"
                )
            }
            Attribute::UpstreamWorkload => {
                let (host, key) = ("xds.upstream_host_metadata", "istio");
                let metadata = format!("{host}.filter_metadata");
                format!(
                    "has({host}) && '{key}' in {metadata} && 'workload' in {metadata}['{key}'] \
                     ? {metadata}['{key}']['workload'] : ''"
                )
            }
            _ => {
                let path = attribute.path().join(".");
                let empty = if attribute.kind() == Kind::Text { "''" } else { "b''" };
                format!("has({path}) ? {path} : {empty}")
            }
        })
        .collect();
    format!("[{}]", items.join(", "))
}

fn path(attribute: Attribute) -> Vec<u8> {
    match attribute {
        // The proxy finds filter state that a module wrote under its bare name.
        Attribute::FilterState(name) => name.into(),
        _ => attribute.path().join("\0").into(),
    }
}

/// Where the proxy has a header of the request alone.
fn sent(name: &str) -> Vec<u8> {
    let headers = b"request\0headers\0";
    let mut path = Vec::with_capacity(headers.len().saturating_add(name.len()));
    path.extend_from_slice(headers);
    path.extend_from_slice(name.as_bytes());
    path
}

fn single(attribute: Attribute, path: &[u8]) -> Option<Value> {
    let value = property(attribute, path);
    if attribute == Attribute::PeerUri && value.is_none() {
        return property(attribute, format!("filter_state\0{ISTIO_PEER_PRINCIPAL}").as_bytes());
    }
    value
}

fn property(attribute: Attribute, path: &[u8]) -> Option<Value> {
    let value = wire::value(attribute.kind(), abi::property(path).ok()?)?;
    (!says_nothing(attribute, &value)).then_some(value)
}

/// One phase of one exchange, read from the proxy.
pub(crate) struct HostExchange<'a> {
    plan: &'a Plan,
    phase: Phase,
    /// Whether it was held: then the callback is another's, and so would be the attributes of an expression.
    held: bool,
    request: OnceCell<HeaderMap>,
    response: OnceCell<HeaderMap>,
    attributes: RefCell<Vec<(Attribute, Option<Value>)>>,
    judged: RefCell<Vec<(Expression, Truth)>>,
    unreadable: Cell<bool>,
}

/// What of an exchange outlasts a callback of the proxy's while a request is held.
pub(crate) struct Kept {
    request: Option<HeaderMap>,
    judged: Vec<(Expression, Truth)>,
}

impl<'a> HostExchange<'a> {
    pub(crate) fn new(plan: &'a Plan, phase: Phase) -> Self {
        Self {
            plan,
            phase,
            held: false,
            request: OnceCell::new(),
            response: OnceCell::new(),
            attributes: RefCell::default(),
            judged: RefCell::default(),
            unreadable: Cell::new(false),
        }
    }

    /// The same exchange, with what was kept of it.
    pub(crate) fn with(self, kept: Kept) -> Self {
        let request = kept.request.map(OnceCell::from).unwrap_or_default();
        Self { held: true, request, judged: RefCell::new(kept.judged), ..self }
    }

    /// What is known by now, which the exchange does not know any more.
    pub(crate) fn take_kept(&mut self) -> Kept {
        Kept { request: self.request.take(), judged: self.judged.take() }
    }

    /// Judges every condition, before the request waits for what comes in another's callback: the proxy evaluates over
    /// the exchange whose callback it runs, whichever context is effective.
    pub(crate) fn judge_all(&self) {
        for expression in self.plan.conditions.expressions() {
            self.holds(expression);
        }
    }

    /// Whether the proxy failed to give headers that it must have in this phase.
    pub(crate) fn unreadable(&self) -> bool {
        self.unreadable.get()
    }

    fn read(&self, map: Map) -> HeaderMap {
        abi::header_map(map).ok().and_then(HeaderMap::parse).unwrap_or_else(|| {
            self.unreadable.set(true);
            HeaderMap::default()
        })
    }
}

impl Exchange for HostExchange<'_> {
    fn request_headers(&self) -> &HeaderMap {
        self.request.get_or_init(|| match self.phase {
            Phase::Request | Phase::Log => self.read(Map::Request),
            Phase::Response => HeaderMap::default(),
        })
    }

    fn response_headers(&self) -> &HeaderMap {
        self.response.get_or_init(|| match self.phase {
            Phase::Response | Phase::Log => self.read(Map::Response),
            Phase::Request => HeaderMap::default(),
        })
    }

    fn lone_request_header(&self, name: &str) -> Option<Vec<u8>> {
        if self.phase == Phase::Log && self.request.get().is_none() {
            match abi::property(&sent(name)) {
                // The proxy puts a comma between copies, and a value may have one of its own.
                Ok(value) if !value.contains(&b',') => return Some(value),
                Err(Status::NOT_FOUND) => return None,
                Ok(_) | Err(_) => {}
            }
        }
        only(self.request_headers(), name)
    }

    fn attribute(&self, attribute: Attribute) -> Option<Value> {
        let path = self.plan.path(attribute)?;
        let mut known = self.attributes.borrow_mut();
        if known.is_empty() {
            let together = self.plan.expression.is_some() && !self.held;
            let batch = together.then(|| self.plan.batch()).flatten();
            // There is room for all of them, as what grows runs through more code.
            *known = batch.unwrap_or_else(|| Vec::with_capacity(self.plan.attributes.len()));
        }
        if let Some((_, value)) = known.iter().find(|(other, _)| *other == attribute) {
            return value.clone();
        }
        let value = single(attribute, path);
        known.push((attribute, value.clone()));
        value
    }

    fn holds(&self, expression: &Expression) -> Truth {
        let mut judged = self.judged.borrow_mut();
        if let Some((_, truth)) = judged.iter().find(|(other, _)| other == expression) {
            return *truth;
        }
        let truth = self.plan.conditions.judge(expression);
        judged.push((expression.clone(), truth));
        truth
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_is_one_expression_that_cannot_fail_for_an_absent_attribute() {
        let attributes =
            [Attribute::SourceAddress, Attribute::ResponseCode, Attribute::FilterState("canary")];
        assert_eq!(
            cel_list(&attributes),
            "[has(source.address) ? source.address : '', \
             has(response.code) ? response.code : b'', \
             'wasm.canary' in filter_state ? filter_state['wasm.canary'] : b'']"
        );
    }
}
