//! What this hop is in a trace, who is believed, and what is recorded.

use crate::{Numbers, Subject};

const CAME: &str = "00-12345678901234567890123456789012-1234567890123456";
const TRACE: &str = "12345678901234567890123456789012";

/// The flags of what the upstream gets, and whether the trace went on.
fn flags(subject: &Subject, lines: &[(&str, &str)]) -> (String, bool) {
    let sent = subject.sends_one("traceparent", lines).unwrap();
    (sent.split_at(53).1.to_owned(), sent.contains(TRACE))
}

#[test]
fn nothing_changes_unless_it_is_told_to() {
    for document in [
        "",
        "{}",
        r#"{"traceContext":{"mode":"pass"}}"#,
        r#"{"traceContext":{"mode":"pass","baggage":{"publish":["a"]}}}"#,
    ] {
        let subject = Subject::of(document);
        let map = filter_core::HeaderMap::from_pairs([
            ("traceparent", "x"),
            ("tracestate", ",,"),
            ("baggage", "a=1,,"),
        ]);
        let (outcome, _) = subject.play(&map);
        assert!(outcome.edits.is_empty(), "{document}");
        let (_, answer) = subject.answers(&[], &[("traceresponse", "x")]);
        assert_eq!(answer["traceresponse"], ["x"]);
    }
}

#[test]
fn a_proxy_that_keeps_ids_takes_away_what_is_not_valid_and_adds_nothing() {
    let subject = Subject::new(r#"{"mode":"sanitise","parentId":"keep"}"#);
    let good = format!("{CAME}-01");
    let lines = [("traceparent", good.as_str()), ("tracestate", "a=1,b=2"), ("baggage", "c=3")];
    let map = filter_core::HeaderMap::from_pairs(lines);
    assert!(subject.play(&map).0.edits.is_empty(), "what is valid costs no edit");
    assert!(subject.sends(&[]).is_empty());
    for bad in ["x", "00-0-0-00", &format!("{CAME}-01-x")] {
        assert!(subject.sends(&[("traceparent", bad), ("tracestate", "a=1")]).is_empty(), "{bad}");
    }
    let future = CAME.replacen("00", "cc", 1);
    let sent = subject.sends_one("traceparent", &[("traceparent", &format!("{future}-ff-x"))]);
    assert_eq!(sent, Some(format!("{CAME}-03")));
    assert_eq!(subject.publishes(&lines).keys().collect::<Vec<_>>(), [&"trace_id"]);
}

#[test]
fn a_new_trace_in_sanitise_mode_is_not_recorded_and_says_that_its_id_is_random() {
    let subject = Subject::new(r#"{"mode":"sanitise"}"#);
    assert_eq!(flags(&subject, &[]), ("02".to_owned(), false));
    assert_eq!(flags(&subject, &[("traceparent", &format!("{CAME}-01"))]), ("01".to_owned(), true));
}

#[test]
fn a_place_is_told_to_logs_as_the_upstream_is_told_it() {
    let subject = Subject::new(r#"{"mode":"originate","randomSamplingPercentage":0}"#);
    let published = subject.publishes(&[("traceparent", &format!("{CAME}-01"))]);
    assert_eq!(published["trace_id"], TRACE);
    // The same numbers once more.
    subject.numbers.0.set(Numbers::default().0.get());
    let sent = subject.sends_one("traceparent", &[("traceparent", &format!("{CAME}-01"))]).unwrap();
    assert_eq!(sent, format!("00-{TRACE}-{}-01", published["span_id"]));
}

#[test]
fn what_is_recorded_is_as_it_came_or_as_it_is_told() {
    for (told, came, left) in
        [("keep", "01", "01"), ("keep", "00", "00"), ("never", "03", "02"), ("always", "00", "01")]
    {
        let subject = Subject::new(&format!(
            r#"{{"mode":"originate","sampled":"{told}","randomSamplingPercentage":0}}"#
        ));
        let line = format!("{CAME}-{came}");
        assert_eq!(flags(&subject, &[("traceparent", &line)]), (left.to_owned(), true), "{told}");
    }
}

#[test]
fn what_is_not_recorded_is_not_debugged_either() {
    let b3 = format!("{TRACE}-1234567890123456-d");
    for (policy, share, tail) in [
        (r#""sampled":"keep""#, 0, "-d"),
        (r#""sampled":"never""#, 0, "-0"),
        (r#""untrusted":"continue""#, 0, "-0"),
        (r#""untrusted":"continue""#, 100, "-1"),
    ] {
        let subject = Subject::new(&format!(
            r#"{{"mode":"originate",{policy},"randomSamplingPercentage":{share},
                "extract":["b3"],"inject":["b3"]}}"#
        ));
        let sent = subject.sends_one("b3", &[("b3", &b3)]).unwrap();
        assert!(sent.starts_with(TRACE) && sent.ends_with(tail), "{policy}: {sent}");
    }
}

#[test]
fn of_several_lines_one_is_left_even_if_the_first_says_it_all() {
    let subject = Subject::new(r#"{"mode":"sanitise","parentId":"keep"}"#);
    let line = format!("{CAME}-01");
    for (name, first, second) in
        [("tracestate", "a=1", "a=2"), ("tracestate", "a=1", ""), ("baggage", "a=1", "broken")]
    {
        let lines = [("traceparent", line.as_str()), (name, first), (name, second)];
        assert_eq!(subject.sends_one(name, &lines).as_deref(), Some(first), "{second}");
    }
}

#[test]
fn traces_that_begin_here_are_recorded_by_their_share() {
    for (percentage, all, left) in [("0", true, "02"), ("100", true, "03"), ("50.0", false, "")] {
        let subject = Subject::new(&format!(
            r#"{{"mode":"originate","randomSamplingPercentage":{percentage}}}"#
        ));
        let mut taken = 0;
        for n in 0..1000_u64 {
            // Spread over the 56 bits.
            subject.numbers.0.set(Some(u128::from(n.wrapping_mul(0x9e37_79b9_7f4a_7c15))));
            let (flags, _) = flags(&subject, &[]);
            assert!(!all || flags == left, "{percentage}");
            taken += u32::from(flags == "03");
        }
        assert!(all || (450..550).contains(&taken), "{taken} of 1000");
    }
}

const CART: &str = "spiffe://cluster.local/ns/shop/sa/cart";
const TRUSTED: &str = r#"[{"principals":["cluster.local/ns/shop/*"]},
    {"principals":["*"],"remoteIpBlocks":["10.0.0.0/8"]},{"remoteIpBlocks":["192.0.2.1"]}]"#;

#[test]
fn a_trace_of_somebody_who_is_not_trusted_ends_here() {
    for (uri, address, trusted) in [
        (CART, "203.0.113.9:1", true),
        ("spiffe://cluster.local/ns/other/sa/cart", "203.0.113.9:1", false),
        ("spiffe://cluster.local/ns/other/sa/cart", "10.1.1.1:1", true),
        ("", "10.1.1.1:1", false),
        ("", "192.0.2.1:7", true),
        ("https://cluster.local/ns/shop/sa/cart", "203.0.113.9:1", false),
        ("spiffe://cluster.local/ns/shop/\u{1}", "203.0.113.9:1", false),
        ("", "/run/socket", false),
    ] {
        for mode in [r#""mode":"sanitise""#, r#""mode":"originate","randomSamplingPercentage":100"#]
        {
            let subject = Subject::new(&format!(r#"{{{mode},"trusted":{TRUSTED}}}"#));
            let subject = subject.asked_by(uri, address);
            let line = format!("{CAME}-01");
            let (_, went_on) = flags(&subject, &[("traceparent", &line)]);
            assert_eq!(went_on, trusted, "{uri} at {address}");
        }
    }
}

#[test]
fn nothing_of_what_they_sent_goes_on() {
    let subject =
        Subject::new(r#"{"mode":"sanitise","untrusted":"restart","baggage":{"publish":["a"]}}"#);
    let line = format!("{CAME}-01");
    let lines = [
        ("traceparent", line.as_str()),
        ("tracestate", "a=1"),
        ("baggage", "a=1"),
        ("b3", "0"),
        ("X-B3-Sampled", "1"),
        ("x-b3-flags", "1"),
        ("uber-trace-id", "1:2:0:1"),
        ("UberCtx-user", "me"),
        ("uberctx-a", "b"),
        ("jaeger-debug-id", "x"),
        ("jaeger-baggage", "k=v"),
        ("x-request-id", "1"),
    ];
    let sent = subject.sends(&lines);
    assert_eq!(sent.keys().collect::<Vec<_>>(), ["traceparent", "x-request-id"]);
    let published = subject.publishes(&lines);
    assert_eq!(published.keys().collect::<Vec<_>>(), [&"span_id", &"trace_id"]);
    let keep = Subject::new(r#"{"mode":"sanitise","parentId":"keep","untrusted":"restart"}"#);
    assert_eq!(keep.sends(&lines).keys().collect::<Vec<_>>(), ["x-request-id"]);
}

#[test]
fn a_trace_that_goes_on_without_trust_is_recorded_as_is_decided_here() {
    for (percentage, left) in [("0", "02"), ("100", "03")] {
        let subject = Subject::new(&format!(
            r#"{{"mode":"originate","untrusted":"continue","sampled":"always",
                "randomSamplingPercentage":{percentage}}}"#
        ));
        for came in ["02", "03"] {
            let line = format!("{CAME}-{came}");
            assert_eq!(flags(&subject, &[("traceparent", &line)]), (left.to_owned(), true));
        }
    }
    // An id that would always be taken by its bits is taken by chance.
    let subject =
        Subject::new(r#"{"mode":"originate","untrusted":"continue","randomSamplingPercentage":1}"#);
    let line = format!("00-{}-1234567890123456-03", "f".repeat(32));
    let sent = subject.sends_one("traceparent", &[("traceparent", &line)]).unwrap();
    assert!(sent.ends_with("-02"), "{sent}");
}

#[test]
fn without_randomness_nothing_invalid_leaves() {
    let subject = Subject::new(r#"{"mode":"originate","randomSamplingPercentage":100}"#);
    subject.numbers.0.set(None);
    assert!(subject.sends(&[("traceparent", "x"), ("tracestate", "a=1")]).is_empty());
    let line = format!("{CAME}-01");
    let sent = subject.sends_one("traceparent", &[("traceparent", &line)]);
    assert_eq!(sent, Some(line));
}

#[test]
fn room_for_tracestate_is_made_by_leaving_out_members() {
    let subject = Subject::new(r#"{"mode":"sanitise","tracestate":{"maxLength":512}}"#);
    let line = format!("{CAME}-01");
    let long = format!("long={}", "x".repeat(200));
    let rest: Vec<String> = (0..6).map(|n| format!("k{n}={}", "y".repeat(70))).collect();
    let state = format!("{long},{}", rest.join(","));
    let sent = subject.sends_one("tracestate", &[("traceparent", &line), ("tracestate", &state)]);
    assert_eq!(sent, Some(rest.join(",")));
}

#[test]
fn the_caller_is_told_the_place_that_the_upstream_was_told() {
    let subject = Subject::new(r#"{"mode":"sanitise","respond":["traceresponse","serverTiming"]}"#);
    let upstream = [("traceresponse", "old"), ("server-timing", "db;dur=5")];
    let (sent, answer) = subject.answers(&[], &upstream);
    let place = sent["traceparent"].join("|");
    assert_eq!(answer["traceresponse"], [place.as_str()]);
    assert_eq!(answer["server-timing"], [format!("db;dur=5, trace;desc={place}")]);
    subject.numbers.0.set(None);
    let (_, answer) = subject.answers(&[], &upstream);
    assert_eq!(answer["traceresponse"], ["old"], "a request without a place has none to tell");
}
