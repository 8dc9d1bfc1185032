//! How exchanges end, and that whatever way they do, there is a row for it.

use std::collections::BTreeSet;

use filter_core::Phase;
use filter_core::fixture::FixtureExchange;
use filter_core::metrics::{MetricKind, Metrics};
use filter_core::view::Value;
use proptest::prelude::*;

use super::*;

/// The end of an exchange with this code, these flags, these details, and this gRPC status.
fn end(code: Option<i64>, flags: i64, details: &str, status: Option<i64>, expected: &[u16]) -> End {
    let numbers = [
        (Attribute::ResponseCode, code),
        (Attribute::ResponseFlags, Some(flags)),
        (Attribute::ResponseGrpcStatus, Some(status.unwrap_or(2))),
    ];
    let numbers = numbers.into_iter().filter_map(|(a, n)| Some((a, Value::Number(n?))));
    let details = (Attribute::ResponseCodeDetails, Value::Text(details.into()));
    let attributes = numbers.chain([details]).collect();
    let exchange = FixtureExchange { attributes, ..FixtureExchange::default() };
    End::of(View::new(&exchange, Phase::Log, &[]), status.is_some(), expected)
}

fn outcome(code: Option<i64>, flags: i64, status: Option<i64>) -> Ending {
    end(code, flags, "", status, &[]).outcome
}

#[test]
fn plain_http_ends_by_its_code() {
    for (code, expected) in [
        (101, Ending::Ok),
        (200, Ending::Ok),
        (304, Ending::Ok),
        (404, Ending::ClientError),
        (499, Ending::ClientError),
        (503, Ending::ServerError),
        (0, Ending::Unknown),
        (999, Ending::Unknown),
        (-1, Ending::Unknown),
    ] {
        assert_eq!(outcome(Some(code), 0, None), expected, "{code}");
    }
}

#[test]
fn grpc_ends_by_its_status() {
    for status in [2, 4, 12, 13, 14, 15] {
        assert_eq!(outcome(Some(200), 0, Some(status)), Ending::ServerError, "{status}");
    }
    for status in [3, 5, 6, 7, 8, 9, 10, 11, 16] {
        assert_eq!(outcome(Some(200), 0, Some(status)), Ending::ClientError, "{status}");
    }
    assert_eq!(outcome(Some(200), 0, Some(0)), Ending::Ok);
    assert_eq!(outcome(Some(200), 0, Some(1)), Ending::Cancelled);
    assert_eq!(outcome(Some(200), 0, Some(17)), Ending::Unknown);
    let unavailable = end(Some(200), 0, "via_upstream", Some(14), &[]);
    assert_eq!((unavailable.code, unavailable.error), (Some(200), Some("UNAVAILABLE")));
    let proxy = end(Some(503), 2, "no_healthy_upstream", Some(14), &[]);
    assert_eq!((proxy.code, proxy.error), (None, Some("UNAVAILABLE")));
}

#[test]
fn a_client_that_left_is_no_error() {
    for flags in [16_384, 268_435_456, 16_384 + 4] {
        let left = End { outcome: Ending::Cancelled, code: None, error: None };
        assert_eq!(end(None, flags, "", None, &[]), left, "{flags}");
        assert_eq!(end(Some(200), flags, "", Some(0), &[]), left, "{flags}");
    }
    assert_eq!(outcome(None, 0, None), Ending::Unknown);
    assert_eq!(outcome(Some(504), 4, None), Ending::ServerError);
}

#[test]
fn an_expected_status_is_no_error() {
    let missing = end(Some(404), 0, "via_upstream", None, &[404, 503]);
    assert_eq!(missing, End { outcome: Ending::Ok, code: Some(404), error: None });
    assert_eq!(end(Some(503), 0, "", None, &[404]).outcome, Ending::ServerError);
}

fn whole() -> Detail {
    Detail {
        class: Some(Shown),
        codes: Some(vec![200, 404, 503]),
        error: Some(Shown),
        expected: Some(Shown),
    }
}

#[test]
fn outcomes_alone_are_five_rows() {
    let ends = Ends::new(Detail::default());
    assert_eq!(ends.dimension().unwrap().size(), 5);
    assert_eq!(Ends::new(Detail { class: Some(Shown), ..Detail::default() }).rows.len(), 13);
    assert_eq!(Ends::new(Detail { error: Some(Shown), ..Detail::default() }).rows.len(), 70);
    assert!(Ends::new(whole()).rows.len() < 300);
}

#[test]
fn what_is_not_there_is_left_out() {
    let ends = Ends::new(whole());
    let mut metrics = Metrics::default();
    let family =
        metrics.family("a", MetricKind::Counter, vec![ends.dimension().unwrap()], &[]).unwrap();
    let name = |end| metrics.stat(family.series(&[ends.position(end)])).unwrap().1;
    assert_eq!(name(end(None, 16_384, "", None, &[])), "a.outcome=.=cancelled;.;");
    assert_eq!(
        name(end(Some(201), 0, "", None, &[])),
        "a.outcome=.=ok;.;http_response_status_class=.=2xx;.;http_response_status_code=.=_other;.;"
    );
    assert_eq!(
        name(end(Some(503), 32, "", None, &[])),
        "a.outcome=.=server_error;.;http_response_status_class=.=5xx;.;\
         http_response_status_code=.=503;.;error_type=.=upstream_connection_failure;.;"
    );
}

proptest! {
    #[test]
    fn every_end_has_a_row_that_says_what_it_was(
        code in prop_oneof![Just(None), (90_i64..620).prop_map(Some), any::<i64>().prop_map(Some)],
        flag in 0_u32..40,
        details in prop::sample::select(vec!["", "via_upstream", "authz{denied:a}", "http1.codec_error"]),
        status in prop_oneof![Just(None), (-1_i64..20).prop_map(Some)],
        expected in prop::collection::btree_set(400_u16..600, 0..3),
    ) {
        let expected: Vec<u16> = expected.into_iter().collect();
        let end = end(code, 1_i64 << flag, details, status, &expected);
        let ends = Ends::new(whole());
        let found = ends.rows.iter().find(|(_, index)| **index == ends.position(end)).unwrap();
        prop_assert_eq!(*found.0, ends.row(end));
    }
}

#[test]
fn rows_are_told_apart() {
    let ends = Ends::new(whole());
    let places: BTreeSet<&usize> = ends.rows.values().collect();
    assert_eq!(places.len(), ends.rows.len());
}
