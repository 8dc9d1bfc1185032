//! B3 and Jaeger, in and out. The tables are the facts of open-telemetry/opentelemetry-go-contrib's
//! `propagators/b3/b3_data_test.go` and `propagators/jaeger/jaeger_data_test.go`.

use crate::Subject;

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const SPAN: &str = "00f067aa0ba902b7";

/// What came, as the single header of B3 writes it; one hop that keeps ids.
fn read(format: &str, lines: &[(&str, &str)]) -> Option<String> {
    let subject = Subject::new(&format!(
        r#"{{"mode":"sanitise","parentId":"keep","extract":["{format}"],"inject":["b3"]}}"#
    ));
    subject.sends_one("b3", lines)
}

#[test]
fn the_single_header_of_b3_is_read() {
    for (tail, kept) in [
        ("", Some("")),
        ("-0", Some("-0")),
        ("-1", Some("-1")),
        ("-d", Some("-d")),
        ("-1-00000000000000cd", Some("-1")),
        ("-", None),
        ("-01", None),
        ("-q", None),
        ("-true", None),
        ("-1-cd0000000000000000", None),
        ("-1-qw00000000000000", None),
        ("-1-EF00000000000000", None),
        ("-1-00000000000000cd-", None),
    ] {
        let found = read("b3", &[("b3", &format!("{TRACE}-{SPAN}{tail}"))]);
        assert_eq!(found, kept.map(|kept| format!("{TRACE}-{SPAN}{kept}")), "{tail}");
    }
    let short = format!("0000000000000000a3ce929d0e0e4736-{SPAN}");
    assert_eq!(read("b3", &[("b3", &format!("a3ce929d0e0e4736-{SPAN}"))]), Some(short));
    for ids in [
        "ab00000000000000000000000000000000-cd00000000000000-1",
        "ab000000000000000000000000000000-cd0000000000000000-1",
        "00-ab000000000000000000000000000000-cd00000000000000-01",
        "qw000000000000000000000000000000-cd00000000000000-1",
        "ab000000000000000000000000000000-qw00000000000000-1",
        "AB000000000000000000000000000000-cd00000000000000-1",
        "ab000000000000000000000000000000-CD00000000000000-1",
        "00000000000000000000000000000000-0000000000000000-1",
        "1",
        "d",
        "",
    ] {
        assert_eq!(read("b3", &[("b3", ids)]), None, "{ids}");
    }
}

#[test]
fn the_several_headers_of_b3_are_read() {
    let ids = [("x-b3-traceid", TRACE), ("x-b3-spanid", SPAN)];
    for (lines, kept) in [
        (&[][..], Some("")),
        (&[("x-b3-sampled", "0")], Some("-0")),
        (&[("x-b3-sampled", "1")], Some("-1")),
        (&[("x-b3-sampled", "true")], Some("-1")),
        (&[("x-b3-sampled", "false")], Some("-0")),
        (&[("x-b3-flags", "1")], Some("-d")),
        (&[("x-b3-sampled", "1"), ("x-b3-flags", "2")], Some("-1")),
        (&[("x-b3-sampled", "1"), ("x-b3-parentspanid", "00f067aa0ba90200")], Some("-1")),
        (&[("x-b3-sampled", "10")], None),
        (&[("x-b3-sampled", "d")], None),
        (&[("x-b3-sampled", "1"), ("x-b3-sampled", "0")], None),
        (&[("x-b3-traceid", TRACE)], None),
    ] {
        for format in ["b3", "b3multi"] {
            let found = read(format, &[&ids, lines].concat());
            let kept = kept.map(|kept| format!("{TRACE}-{SPAN}{kept}"));
            assert_eq!(found, kept, "{lines:?}");
        }
    }
    for (trace, span) in [
        ("ab00000000000000000000000000000000", "cd00000000000000"),
        ("ab0000000000000000000000000000", "cd00000000000000"),
        ("ab0000000000", "cd00000000000000"),
        ("ab000000000000000000000000000000", "cd0000000000000000"),
        ("qw000000000000000000000000000000", "cd00000000000000"),
        ("ab000000000000000000000000000000", "qw00000000000000"),
        ("AB000000000000000000000000000000", "cd00000000000000"),
        ("ab000000000000000000000000000000", "CD00000000000000"),
        ("00000000000000000000000000000000", "cd00000000000000"),
        ("ab000000000000000000000000000000", "0000000000000000"),
    ] {
        let lines = [("x-b3-traceid", trace), ("x-b3-spanid", span), ("x-b3-sampled", "1")];
        assert_eq!(read("b3", &lines), None, "{trace} {span}");
    }
    assert_eq!(read("b3", &ids[..1]), None);
    assert_eq!(read("b3", &ids[1..]), None);
    assert_eq!(read("b3", &[("x-b3-sampled", "1")]), None);
}

#[test]
fn the_single_header_comes_before_the_several() {
    let several = [("x-b3-traceid", TRACE), ("x-b3-spanid", SPAN), ("x-b3-sampled", "0")];
    for (tail, kept) in [("-1", "-1"), ("-", "-0")] {
        let single = format!("{TRACE}-{SPAN}{tail}");
        let found = read("b3", &[&several[..], &[("b3", &single)]].concat());
        assert_eq!(found, Some(format!("{TRACE}-{SPAN}{kept}")));
    }
}

#[test]
fn whoever_only_says_not_to_record_is_heeded() {
    for line in [("b3", "0"), ("x-b3-sampled", "0"), ("x-b3-sampled", "false")] {
        assert_eq!(read("b3", &[line]).as_deref(), Some("0"), "{line:?}");
        let begun =
            Subject::new(r#"{"mode":"originate","randomSamplingPercentage":100,"extract":["b3"]}"#);
        assert!(begun.sends_one("traceparent", &[line]).unwrap().ends_with("-02"), "{line:?}");
        assert!(begun.sends_one("traceparent", &[]).unwrap().ends_with("-03"));
    }
}

#[test]
fn the_header_of_jaeger_is_read() {
    let long = "a1ce929d0e0e4736a3ce929d0e0e4736";
    let short = "0000000000000000a3ce929d0e0e4736";
    let shorter = "000000000000000003ce929d0e0e4736";
    for (value, kept) in [
        (format!("{long}:{SPAN}:0:0"), Some((long, "-0"))),
        (format!("{long}:{SPAN}:0:1"), Some((long, "-1"))),
        (format!("{long}:{SPAN}:0:3"), Some((long, "-d"))),
        (format!("{long}:{SPAN}:0:2"), Some((long, "-0"))),
        (format!("{long}:{SPAN}:0:00001"), Some((long, "-1"))),
        (format!("{long}:{SPAN}:0:ff"), Some((long, "-d"))),
        (format!("a3ce929d0e0e4736:{SPAN}:0:1"), Some((short, "-1"))),
        (format!("3ce929d0e0e4736:{SPAN}:0:1"), Some((shorter, "-1"))),
        (format!("{long}:{SPAN}:whatever:1"), Some((long, "-1"))),
        (format!("{long}%3A{SPAN}%3a0%3A1"), Some((long, "-1"))),
        (format!("{long}:f067aa0ba902b7:0:1"), Some((long, "-1"))),
        (format!("{long}:{SPAN}:0"), None),
        (format!("{long}:{SPAN}:0:1:"), None),
        (format!("{long}:{SPAN}:0:"), None),
        (format!("{long}0:{SPAN}:0:1"), None),
        (format!("{long}:0{SPAN}:0:1"), None),
        (format!("0:{SPAN}:0:1"), None),
        (format!("{long}:0:0:1"), None),
        (format!("{long}:+{SPAN}:0:1"), None),
        (String::new(), None),
    ] {
        let found = read("jaeger", &[("uber-trace-id", &value)]);
        let kept = kept.map(|(trace, tail)| format!("{trace}-{SPAN}{tail}"));
        assert_eq!(found, kept, "{value}");
    }
}

#[test]
fn one_place_is_written_in_every_format() {
    let subject = Subject::new(
        r#"{"mode":"sanitise","parentId":"keep","extract":["b3","jaeger","tracecontext"],
            "inject":["tracecontext","b3","b3multi","jaeger"]}"#,
    );
    for (flag, traceparent, sampled, flags, uber) in [
        ("", "00", None, None, "0"),
        ("-0", "00", Some("0"), None, "0"),
        ("-1", "01", Some("1"), None, "1"),
        ("-d", "01", None, Some("1"), "3"),
    ] {
        let b3 = format!("{TRACE}-{SPAN}{flag}");
        let sent = subject.sends(&[
            ("b3", &b3),
            ("traceparent", "00-12345678901234567890123456789012-1234567890123456-00"),
            ("tracestate", "a=1"),
            ("uber-trace-id", "1:2:0:1"),
            ("x-b3-parentspanid", "00f067aa0ba90200"),
            ("x-b3-flags", "7"),
        ]);
        let one = |name: &str| sent.get(name).map(|copies| copies.join("|"));
        assert_eq!(one("b3"), Some(b3));
        assert_eq!(one("traceparent"), Some(format!("00-{TRACE}-{SPAN}-{traceparent}")));
        assert_eq!(one("tracestate"), None, "it belongs to another trace");
        assert_eq!(one("uber-trace-id"), Some(format!("{TRACE}:{SPAN}:0:{uber}")));
        assert_eq!(one("x-b3-traceid").as_deref(), Some(TRACE));
        assert_eq!(one("x-b3-spanid").as_deref(), Some(SPAN));
        assert_eq!(one("x-b3-sampled").as_deref(), sampled);
        assert_eq!(one("x-b3-flags").as_deref(), flags);
        assert_eq!(one("x-b3-parentspanid"), None);
    }
}

#[test]
fn formats_that_are_not_in_use_are_left_alone() {
    let subject = Subject::new(r#"{"mode":"sanitise"}"#);
    let lines = [("b3", "x"), ("uber-trace-id", "y"), ("uberctx-a", "z")];
    let sent = subject.sends(&lines);
    assert_eq!(sent.len(), 4);
    for (name, value) in lines {
        assert_eq!(sent[name], [value]);
    }
}
