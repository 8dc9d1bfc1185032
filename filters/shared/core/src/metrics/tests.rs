//! Series as they are declared, and as they are named.

use std::collections::HashSet;

use proptest::prelude::*;

use super::*;

fn values(texts: &[&str]) -> Vec<LabelValue> {
    texts.iter().map(|text| LabelValue::parse(text).unwrap()).collect()
}

#[test]
fn labels_are_written_after_the_name() {
    let mut metrics = Metrics::default();
    let labels = vec![("route", values(&["/a/{id}", "_other"])), ("method", values(&["GET"]))];
    let family = metrics.counter("requests_total", labels).unwrap();
    let (kind, name) = metrics.stat(family.series(&[1, 0])).unwrap();
    assert_eq!(kind, MetricKind::Counter);
    assert_eq!(name, "requests_total.route=.=_other;.;method=.=GET;.;");
}

#[test]
fn a_value_cannot_forge_a_label() {
    for bad in ["", "a;.;b=.=c", "a\nb", "a=b", "a;", "a\u{7f}"] {
        assert_eq!(LabelValue::parse(bad), None, "{bad:?}");
    }
    assert!(LabelValue::parse("/v1/users/{id} \"quoted\" é").is_some());
}

#[test]
fn a_name_must_be_a_stat_name() {
    for bad in ["", "9a", "a b", "a;b"] {
        assert_eq!(
            Metrics::default().counter(bad, vec![]).unwrap_err(),
            InvalidMetric::Name,
            "{bad:?}"
        );
    }
}

#[test]
fn labels_that_go_together_share_a_dimension() {
    let one = |text: &str| LabelValue::parse(text);
    let rows = vec![vec![one("ok"), None], vec![one("error"), one("timeout")], vec![None]];
    let ends = Dimension::rows(vec!["outcome", "error_type"], rows);
    let mut metrics = Metrics::default();
    let family = metrics.family("a", MetricKind::Gauge, vec![ends], &[]).unwrap();
    let name = |row| metrics.stat(family.series(&[row])).unwrap().1;
    assert_eq!(name(0), "a.outcome=.=ok;.;");
    assert_eq!(name(1), "a.outcome=.=error;.;error_type=.=timeout;.;");
    assert_eq!(name(2), "a");
    assert_eq!(metrics.labels(), ["outcome", "error_type"]);
}

#[test]
fn what_is_learned_has_a_fixed_number_of_places() {
    let learned = Learned::with_room(2);
    let one = |text: &str| vec![LabelValue::parse(text)];
    let tenants = Dimension::learned(vec!["tenant"], vec![one("_other")], &learned);
    let mut metrics = Metrics::default();
    let family = metrics.family("a", MetricKind::Counter, vec![tenants], &[]).unwrap();
    assert_eq!(metrics.series(), 3);
    let name = |row| metrics.stat(family.series(&[row])).map(|(_, name)| name);
    assert_eq!(name(0).as_deref(), Some("a.tenant=.=_other;.;"));
    assert_eq!(name(1), None);
    learned.learn(0, one("acme"));
    learned.learn(0, one("evil"));
    learned.learn(7, one("evil"));
    assert_eq!(name(1).as_deref(), Some("a.tenant=.=acme;.;"));
    assert_eq!(name(2), None);
}

#[test]
fn labels_of_a_series_are_those_in_its_name() {
    let rows = vec![vec![LabelValue::parse("/a"), None], vec![LabelValue::parse("/b")]];
    let routes = Dimension::rows(vec!["route", "method"], rows);
    let mut metrics = Metrics::default();
    let outcomes = Dimension::closed("outcome", values(&["ok", "failed"]));
    let family = metrics.family("a", MetricKind::Counter, vec![routes, outcomes], &[]).unwrap();
    let labels = metrics.labelled(family.series(&[1, 1])).unwrap();
    let labels: Vec<(&str, &str)> =
        labels.into_iter().map(|(label, value)| (label, value.as_str())).collect();
    assert_eq!(labels, [("route", "/b"), ("outcome", "failed")]);
    assert_eq!(metrics.labelled(Series { family: family.index(), index: 4 }), None);
    assert_eq!(metrics.labelled(Series { family: 1, index: 0 }), None);
}

#[test]
fn buckets_are_told_once_a_name() {
    let mut metrics = Metrics::default();
    for _ in 0..2 {
        metrics.family("seconds", MetricKind::Histogram, vec![], &[1, 2]).unwrap();
    }
    metrics.histogram("plain", vec![]).unwrap();
    assert_eq!(metrics.buckets(), [("seconds", &[1, 2][..])]);
}

#[test]
fn more_series_than_the_cap_are_refused() {
    let many: Vec<_> = (0..1000).map(|n| LabelValue::parse(&n.to_string()).unwrap()).collect();
    let mut metrics = Metrics::default();
    let error = metrics.counter("a", vec![("x", many.clone()), ("y", many.clone())]).unwrap_err();
    assert_eq!(error, InvalidMetric::TooMany(1_000_000));
    assert_eq!(
        metrics.counter("a", vec![("x", many), ("y", vec![])]).unwrap_err(),
        InvalidMetric::TooMany(0)
    );
}

proptest! {
    #[test]
    fn every_combination_is_a_series_of_its_own(sizes in prop::collection::vec(1_usize..5, 0..4)) {
        let all = ["a", "b", "c", "d"];
        let labels = ["l1", "l2", "l3", "l4"];
        let declared = sizes.iter().zip(labels).map(|(size, label)| (label, values(&all[..*size]))).collect();
        let mut metrics = Metrics::default();
        metrics.counter("first", vec![]).unwrap();
        let family = metrics.counter("family", declared).unwrap();
        let mut combinations = vec![vec![]];
        for size in &sizes {
            combinations = combinations
                .iter()
                .flat_map(|head: &Vec<usize>| (0..*size).map(move |n| [&head[..], &[n]].concat()))
                .collect();
        }
        let names: HashSet<_> =
            combinations.iter().map(|positions| metrics.stat(family.series(positions)).unwrap().1).collect();
        prop_assert_eq!(names.len(), combinations.len());
        prop_assert_eq!(metrics.series(), combinations.len() + 1);
    }
}
