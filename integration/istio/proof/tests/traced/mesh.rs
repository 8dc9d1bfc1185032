//! `integration/istio/traced`: gateway → frontend → checkout → payments, and a collector beside them.

use std::collections::BTreeSet;

use proof::{Answer, Bed, Connection, Fault, Place, Scratch, Series, until};
use serde_json::Value;

use crate::spans::{self, Told};

/// Where each hop's answer is in the one of the hop before.
const HOPS: [(&str, &[&str]); 3] = [
    ("frontend", &[]),
    ("checkout", &["next", "body"]),
    ("payments", &["next", "body", "next", "body"]),
];

/// The applications behind the gateway, up.
pub(crate) struct Mesh<'a> {
    bed: &'a Bed,
    scratch: Scratch<'a>,
    namespace: String,
    gateway: String,
}

impl<'a> Mesh<'a> {
    pub(crate) fn up(bed: &'a Bed) -> Result<Self, Fault> {
        let namespace = format!("traced{}", std::process::id());
        let scratch = bed.scratch("traced", "traced", &namespace)?;
        scratch.place.wait_deployed()?;
        Ok(Self { bed, scratch, namespace, gateway: bed.gateway()? })
    }

    pub(crate) fn place(&self) -> &Place<'a> {
        &self.scratch.place
    }

    pub(crate) fn namespace(&self) -> &str {
        &self.namespace
    }

    /// Who a hop is, by its certificate.
    pub(crate) fn identity(&self, hop: &str) -> String {
        match hop {
            "gateway" => "spiffe://cluster.local/ns/demo/sa/gateway".to_owned(),
            _ => format!("spiffe://cluster.local/ns/{}/sa/default", self.namespace),
        }
    }

    pub(crate) fn ask(&self, path: &str, headers: &[(&str, &str)]) -> Result<Answer, Fault> {
        Connection::to(&self.gateway, 80).get(&format!("{}.example", self.namespace), path, headers)
    }

    /// Asks until every hop has its plugin on every connection: those that are older go on without it for one request.
    pub(crate) fn wait_for_plugins(&self) -> Result<(), Fault> {
        until("a span at every hop", || {
            for _ in 0..20 {
                let answer = self.ask("/checkout/0", &[])?;
                let root = answer.header("traceresponse").map(str::to_owned);
                let hops = heard(&answer).into_iter().map(|(_, traceparent)| traceparent);
                let spans: BTreeSet<String> =
                    root.into_iter().chain(hops).filter(|span| !span.is_empty()).collect();
                if answer.status != 200 || spans.len() <= HOPS.len() {
                    return Err(format!("{} {spans:?} {}", answer.status, answer.body));
                }
            }
            Ok(())
        })
    }

    /// What the collector was told of a trace, once it is as much as there are hops, the gateway's included.
    pub(crate) fn wait_for_spans(&self, trace: &str) -> Result<Vec<Told>, Fault> {
        until(&format!("all spans of {trace}"), || {
            let mut told = self.spans()?;
            told.retain(|told| told.trace == trace);
            if told.len() > HOPS.len() { Ok(told) } else { Err(format!("{told:#?}")) }
        })
    }

    /// All that the collector was told.
    pub(crate) fn spans(&self) -> Result<Vec<Told>, Fault> {
        spans::read(&self.place().kubectl(&["logs", "deployment/collector", "-c", "app"], "")?)
    }

    /// The sum of an application's series of this name that have these labels.
    pub(crate) fn sum(&self, app: &str, name: &str, labels: &[(&str, &str)]) -> Result<f64, Fault> {
        let all = self.place().scrape(app, name)?;
        let under = |series: &&Series| labels.iter().all(|(name, own)| series.label(name) == *own);
        Ok(all.iter().filter(under).map(|series| series.value).sum())
    }

    /// What a deployment's proxy was started with.
    pub(crate) fn bootstrap(&self, deployment: &str) -> Result<String, Fault> {
        let proxy = format!("deployment/{deployment}");
        let all = ["-n", &self.namespace, "proxy-config", "bootstrap", &proxy, "-o", "json"];
        self.bed.run("istioctl", &all, "")
    }

    /// The line that a hop logged of this span.
    pub(crate) fn wait_for_log(&self, hop: &str, span: &str) -> Result<Value, Fault> {
        until(&format!("{span} in the log of {hop}"), || {
            let log = match hop {
                "gateway" => self.bed.proxy_log(hop)?,
                _ => self.place().proxy_log(hop)?,
            };
            let mut lines = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
            let line = lines.find(|line| line.get("span_id").is_some_and(|own| own == span));
            line.ok_or_else(|| log.lines().last().unwrap_or_default().to_owned())
        })
    }
}

/// What each application was told of the trace: its name, and `traceparent`.
pub(crate) fn heard(answer: &Answer) -> Vec<(String, String)> {
    let at = |hop: &[&str]| answer.said(&[hop, &["headers", "traceparent"]].concat());
    let text = |value: Value| value.as_str().unwrap_or_default().to_owned();
    HOPS.iter().map(|(name, hop)| ((*name).to_owned(), text(at(hop)))).collect()
}
