//! What the filter returns to the host: no more edits than are needed, and never fewer.
#![cfg(not(target_arch = "wasm32"))]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use filter_core::fixture::{FixtureExchange, World};
use filter_core::{Count, Edit, Filter, HeaderMap, HeaderName, Metrics, Outcome, Phase, View};

const TWO: &str = r#"{"rollouts":[
    {"name":"cart","header":"x-cart","key":[{"header":"x-user"}],"match":{"paths":["/cart"]},
     "variants":[{"name":"v2","weight":100}]},
    {"name":"pay","header":"x-pay","key":[{"header":"x-user"}],"stable":"v1","salt":"checkout",
     "variants":[{"name":"v2","weight":29.1353},{"name":"v3","weight":0}]}]}"#;

fn send(metrics: &mut Metrics, lines: &[(&str, &str)]) -> Outcome {
    let filter = canary::Canary::configure(TWO.as_bytes(), metrics).unwrap();
    let pseudo = [(":method", "GET"), (":authority", "a.example")];
    let request = HeaderMap::from_pairs(pseudo.iter().chain(lines).copied());
    let exchange = FixtureExchange { request, ..FixtureExchange::default() };
    let view = View::new(&exchange, Phase::Request, &[]);
    filter.on_request(&view, &mut canary::Memo::default(), &World::default().ports())
}

fn edits(lines: &[(&str, &str)]) -> Vec<Edit> {
    send(&mut Metrics::default(), lines).edits
}

fn set(name: &'static str, value: &str) -> Edit {
    Edit::Set(HeaderName::literal(name), value.into())
}

fn remove(name: &'static str) -> Edit {
    Edit::Remove(HeaderName::literal(name))
}

#[test]
fn a_header_that_is_not_there_is_not_removed() {
    assert_eq!(edits(&[(":path", "/"), ("x-user", "zoe")]), [set("x-pay", "v1")]);
}

#[test]
fn every_copy_that_a_client_sent_goes() {
    let spoofed = [(":path", "/"), ("x-cart", "v2"), ("X-Cart", "v3"), ("x-pay", "v3")];
    assert_eq!(edits(&spoofed), [remove("x-cart"), set("x-pay", "v1")]);
}

#[test]
fn a_request_gets_exactly_one_header_of_each_rollout() {
    let spoofed = [(":path", "/cart"), ("x-cart", "v9"), ("x-cart", "v2"), ("x-user", "zoe")];
    assert_eq!(edits(&spoofed), [set("x-cart", "v2"), set("x-pay", "v1")]);
}

#[test]
fn a_path_of_no_single_meaning_is_not_the_one_that_is_meant() {
    let ambiguous = [(":path", "/cart%2f"), ("x-cart", "v2"), ("x-user", "zoe")];
    assert_eq!(edits(&ambiguous), [remove("x-cart"), set("x-pay", "v1")]);
}

#[test]
fn a_weight_is_a_threshold() {
    // heidi's bucket is 291 353.
    assert_eq!(edits(&[(":path", "/"), ("x-user", "heidi")]), [set("x-pay", "v1")]);
    assert_eq!(edits(&[(":path", "/"), ("x-user", "ivan")]), [set("x-pay", "v2")]);
}

#[test]
fn every_assignment_is_counted_and_published() {
    let mut metrics = Metrics::default();
    let outcome = send(&mut metrics, &[(":path", "/cart"), ("x-user", "heidi")]);
    let counted = |count: &Count| match count {
        Count::Add(series, 1) => metrics.stat(*series).unwrap().1,
        other => panic!("{other:?}"),
    };
    assert_eq!(
        outcome.counts.iter().map(counted).collect::<Vec<_>>(),
        [
            "outrigger_canary_assignments_total.rollout=.=cart;.;variant=.=v2;.;",
            "outrigger_canary_assignments_total.rollout=.=pay;.;variant=.=v1;.;",
        ]
    );
    let evidence: Vec<_> = outcome.decisions.iter().map(|decision| decision.evidence()).collect();
    assert_eq!(evidence, ["bucket:cart=v2", "stable:pay=v1"]);
    assert_eq!(outcome.publish, []);
}
