//! What holds whatever headers come.

use std::collections::BTreeMap;

use cases::propagation;
use filter_core::{Edit, HeaderMap};
use proptest::prelude::*;

use crate::Subject;

/// Every header that a mode which is not `pass` may write, if its format is in use.
const OURS: [&str; 10] = [
    "traceparent",
    "tracestate",
    "baggage",
    "b3",
    "x-b3-traceid",
    "x-b3-spanid",
    "x-b3-parentspanid",
    "x-b3-sampled",
    "x-b3-flags",
    "uber-trace-id",
];

/// Values that are valid, nearly valid, or anything.
fn value() -> impl Strategy<Value = Vec<u8>> {
    let hex = "[0-9a-f]{2}-[0-9a-f]{30,33}-[0-9a-f]{15,17}-[0-9a-f]{2}(-x)?";
    prop_oneof![
        hex.prop_map(String::into_bytes),
        "00-[0-9a-f]{32}-[0-9a-f]{16}-0[0-3]".prop_map(String::into_bytes),
        "([0-9a-f]{16}){1,2}-[0-9a-f]{16}(-[01d])?".prop_map(String::into_bytes),
        "[0-9a-f]{1,33}:[0-9a-f]{1,17}:0:[0-9a-f]{1,3}".prop_map(String::into_bytes),
        "([a-zA@_-]{1,3}=[ -~]{0,4},?){0,40}".prop_map(String::into_bytes),
        "([a-z]{1,3} ?= ?(%[0-9a-f]{2}|[a-z]){0,9}(;[a-z=]{0,3})?,?){0,80}"
            .prop_map(String::into_bytes),
        "[01d]".prop_map(String::into_bytes),
        prop::collection::vec(any::<u8>(), 0..80),
        Just(vec![b'a'; 9000]),
    ]
}

fn lines() -> impl Strategy<Value = Vec<(&'static str, Vec<u8>)>> {
    prop::collection::vec((prop::sample::select(&OURS[..]), value()), 0..8)
}

/// What the upstream gets, by name, and what was set.
fn play(
    subject: &Subject,
    lines: &[(&'static str, Vec<u8>)],
) -> (BTreeMap<&'static str, Vec<Vec<u8>>>, Vec<String>) {
    let (outcome, _) = subject.play(&HeaderMap::from_pairs(lines.iter().map(|(n, v)| (n, v))));
    let mut sent: BTreeMap<&str, Vec<Vec<u8>>> = BTreeMap::new();
    for (name, value) in lines {
        sent.entry(name).or_default().push(value.clone());
    }
    let mut set = Vec::new();
    for edit in outcome.edits {
        let name = OURS.into_iter().find(|name| *name == edit.name().as_str()).unwrap();
        sent.remove(name);
        if let Edit::Set(_, value) = edit {
            sent.insert(name, vec![value]);
            assert!(!set.contains(&name.to_owned()), "{name} is set twice");
            set.push(name.to_owned());
        }
    }
    (sent, set)
}

fn configuration() -> impl Strategy<Value = String> {
    let formats = prop::sample::subsequence(vec!["tracecontext", "b3", "b3multi", "jaeger"], 1..=4);
    let mode = prop::sample::select(vec![
        r#""mode":"sanitise""#,
        r#""mode":"sanitise","parentId":"keep""#,
        r#""mode":"sanitise","untrusted":"restart""#,
        r#""mode":"originate","randomSamplingPercentage":10"#,
        r#""mode":"originate","randomSamplingPercentage":10,"untrusted":"continue""#,
        r#""mode":"originate","randomSamplingPercentage":10,"sampled":"always""#,
    ]);
    (mode, formats.clone(), formats).prop_map(|(mode, extract, inject)| {
        let (extract, inject) = (format!("{extract:?}"), format!("{inject:?}"));
        format!(r#"{{{mode},"extract":{extract},"inject":{inject},"baggage":{{"publish":["a"]}}}}"#)
    })
}

proptest! {
    #[test]
    fn what_leaves_is_valid_bounded_and_single(configuration in configuration(), lines in lines()) {
        let subject = Subject::new(&configuration);
        let (sent, _) = play(&subject, &lines);
        let one = |name: &str| -> Result<Option<String>, TestCaseError> {
            let Some(copies) = sent.get(name) else { return Ok(None) };
            prop_assert_eq!(copies.len(), 1, "{}", name);
            Ok(Some(String::from_utf8(copies[0].clone()).unwrap().trim_matches([' ', '\t']).to_owned()))
        };
        if let Some(traceparent) = one("traceparent")? {
            prop_assert!(propagation::place(&traceparent).is_ok(), "{}", traceparent);
        }
        if let Some(tracestate) = one("tracestate")? {
            prop_assert!(sent.contains_key("traceparent"));
            let members = propagation::members(&tracestate).unwrap();
            prop_assert!((1..=32).contains(&members.len()), "{}", tracestate);
            let mut keys: Vec<_> = members.iter().map(|(key, _)| key).collect();
            keys.sort();
            keys.dedup();
            prop_assert_eq!(keys.len(), members.len());
        }
        if let Some(baggage) = one("baggage")? {
            prop_assert!(baggage.len() <= 8192);
            prop_assert!((1..=64).contains(&baggage.split(',').count()));
            let octet = |byte: u8| byte.is_ascii_graphic() && !b"\"\\".contains(&byte);
            prop_assert!(baggage.bytes().all(octet), "{}", baggage);
            prop_assert!(baggage.split(',').all(|member| member.split_once('=').is_some_and(|(key, _)| !key.is_empty())));
        }
        let in_use = |format: &str| configuration.contains(&format!("\"{format}"));
        if in_use("b3") || configuration.contains("restart") {
            if let Some(b3) = one("b3")? {
                let parts: Vec<&str> = b3.split('-').collect();
                let whole = matches!(parts.as_slice(), [trace, span] | [trace, span, "0" | "1" | "d"] if trace.len() == 32 && span.len() == 16);
                prop_assert!(whole || b3 == "0", "{}", b3);
            }
            prop_assert_eq!(one("x-b3-parentspanid")?, None);
            prop_assert_eq!(one("x-b3-traceid")?.is_some(), one("x-b3-spanid")?.is_some());
        }
        if in_use("jaeger") && let Some(uber) = one("uber-trace-id")? {
            prop_assert!(matches!(uber.split(':').collect::<Vec<_>>().as_slice(), [trace, span, "0", "0" | "1" | "3"] if trace.len() == 32 && span.len() == 16), "{}", uber);
        }
    }

    /// What it made is right: once more through a hop that keeps ids, nothing changes.
    #[test]
    fn what_leaves_needs_no_second_cleaning(lines in lines()) {
        let first = Subject::new(r#"{"mode":"sanitise"}"#);
        let (sent, _) = play(&first, &lines);
        let sent: Vec<(&'static str, Vec<u8>)> = sent
            .into_iter()
            .flat_map(|(name, copies)| copies.into_iter().map(move |copy| (name, copy)))
            .collect();
        let second = Subject::new(r#"{"mode":"sanitise","parentId":"keep"}"#);
        let (outcome, _) = second.play(&HeaderMap::from_pairs(sent.iter().map(|(n, v)| (n, v))));
        prop_assert!(outcome.edits.is_empty(), "{:?} of {:?}", outcome.edits, sent);
    }

    #[test]
    fn pass_changes_nothing(lines in lines()) {
        let subject = Subject::new(r#"{"mode":"pass","baggage":{"publish":["a","b"]}}"#);
        let (outcome, _) = subject.play(&HeaderMap::from_pairs(lines.iter().map(|(n, v)| (n, v))));
        prop_assert!(outcome.edits.is_empty());
        prop_assert!(outcome.publish.iter().all(|one| one.value.len() <= 256));
    }
}
