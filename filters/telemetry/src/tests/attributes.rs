//! attributegen's configuration, and what it gave (istio/proxy, `extensions/attributegen/plugin_test.cc`).

use filter_core::fixture::{FixtureExchange, World};
use filter_core::matching::Truth::{self, False, True, Unknown};
use filter_core::{HeaderMap, Phase};

use super::{Memo, configured};
use crate::*;

/// What is published under a name, by the truth of each condition in order, at arrival and at the end.
fn published(document: &str, name: &str, truths: &[Truth]) -> [Option<String>; 2] {
    let (filter, _) = configured(document);
    let stated = filter.late_expressions();
    let texts = stated.iter().map(|stated| stated.expression.text().to_owned());
    let exchange = FixtureExchange {
        request: HeaderMap::from_pairs([(":method", "GET"), (":path", "/books")]),
        conditions: texts.zip(truths.iter().copied()).collect(),
        ..FixtureExchange::default()
    };
    let (world, mut memo) = (World::default(), Memo::default());
    let view = |phase| View::new(&exchange, phase, &[]);
    let found = |outcome: Outcome| {
        let mut publications = outcome.publish.into_iter();
        let found = publications.find(|publication| publication.name == name)?;
        Some(String::from_utf8(found.value).unwrap())
    };
    let arrival = filter.on_request(&view(Phase::Request), &mut memo, &world.ports());
    let end = filter.on_log(&view(Phase::Log), &mut memo, &world.ports());
    [found(arrival), found(end)]
}

const OPERATIONS: &str = r#"{"attributes": [{
    "phase": "AFTER_RESPONSE",
    "output_attribute": "istio_operationId",
    "match": [
        {"value": "ListBooks", "condition": "request.url_path == '/books' && request.method == 'GET'"},
        {"value": "GetBook", "condition": "request.url_path.matches('^/shelves/[[:alnum:]]*/books/[[:alnum:]]*$')"}
    ]
}]}"#;

const CLASSES: &str = r#"{"attributes": [{
    "outputAttribute": "istio.responseClass",
    "match": [
        {"value": "2xx", "condition": "response.code >= 200 && response.code <= 299"},
        {"value": "404", "condition": "response.code == 404"},
        {"value": "other"}
    ]
}], "debug": false}"#;

#[test]
fn the_first_condition_that_holds_gives_the_value() {
    let operation = |truths: &[Truth]| published(OPERATIONS, "istio_operationId", truths);
    assert_eq!(operation(&[True, True]), [Some("ListBooks".to_owned()), None]);
    assert_eq!(operation(&[False, True]), [Some("GetBook".to_owned()), None]);
    assert_eq!(operation(&[False, False]), [None, None]);
    assert_eq!(operation(&[Unknown, True]), [None, None], "a fault leaves it without a value");
}

#[test]
fn what_asks_for_the_response_is_known_at_the_end() {
    let class = |truths: &[Truth]| published(CLASSES, "istio.responseClass", truths);
    assert_eq!(class(&[True, False]), [None, Some("2xx".to_owned())]);
    assert_eq!(class(&[False, True]), [None, Some("404".to_owned())]);
    assert_eq!(class(&[False, False]), [None, Some("other".to_owned())]);
}

#[test]
fn the_operation_is_published_under_its_own_name_too() {
    let operation = published(OPERATIONS, "request_operation", &[True, False]);
    assert_eq!(operation, [Some("ListBooks".to_owned()), None]);
}

#[test]
fn a_condition_is_stated_where_it_stands() {
    let (filter, _) = configured(OPERATIONS);
    let pointers: Vec<String> =
        filter.expressions().into_iter().map(|stated| stated.pointer).collect();
    assert_eq!(pointers, ["/attributes/0/match/0/condition", "/attributes/0/match/1/condition"]);
}
