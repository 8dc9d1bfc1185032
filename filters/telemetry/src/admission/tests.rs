//! What is admitted, and what is not.

use std::collections::BTreeMap;

use filter_core::fixture::MapCells;
use proptest::prelude::*;

use super::*;

const SPEC: Spec = Spec { name: "a", kind: MetricKind::Counter, buckets: &[] };

fn side(label: &'static str, values: &[&str]) -> Dimension {
    Dimension::closed(label, values.iter().map(|text| LabelValue::parse(text).unwrap()).collect())
}

/// Three routes, three outcomes of which two stay, and three tenants.
fn counted(most: Option<usize>) -> (Counted, Metrics, Notes) {
    let mut metrics = Metrics::default();
    let sides = vec![
        Side::collapsing(side("route", &["_other", "/a", "/b"]), 0),
        Side::kept(side("outcome", &["ok", "failed", "refused"]), &[0, 1, 1]),
        Side::collapsing(side("tenant", &["unknown", "_other", "acme"]), 1),
    ];
    let counted = Counted::declare(SPEC, (sides, None), most, &mut metrics).unwrap();
    let notes = Notes::declare(counted.limited().into_iter().collect(), &mut metrics).unwrap();
    (counted, metrics, notes)
}

fn rows(route: usize, others: &[usize]) -> Rows {
    let mut rows = Rows::at(Place::Known(route), others.len());
    others.iter().for_each(|row| rows.push(*row));
    rows
}

#[test]
fn few_series_need_no_admission() {
    let (all, metrics, _) = counted(Some(27));
    assert_eq!((all.limited(), metrics.series()), (None, 27));
    let (some, metrics, _) = counted(Some(26));
    assert_eq!((some.limited(), metrics.series()), (Some("a"), 2 + 26 + 4));
}

#[test]
fn what_is_not_admitted_keeps_its_outcome() {
    let (counted, metrics, notes) = counted(Some(1));
    let cells = MapCells::default();
    let name = |row: usize, others: &[usize]| {
        let mut notes_of = Vec::new();
        let series = counted.series(&rows(row, others), &cells, &notes, &mut notes_of);
        (metrics.stat(series).unwrap().1, notes_of.len())
    };
    let admitted = "a.route=.=/a;.;outcome=.=ok;.;tenant=.=acme;.;".to_owned();
    assert_eq!(name(1, &[0, 2]), (admitted.clone(), 0));
    let ok = "a.route=.=_other;.;outcome=.=ok;.;tenant=.=_other;.;".to_owned();
    assert_eq!(name(2, &[0, 2]), (ok, 1));
    let failed = "a.route=.=_other;.;outcome=.=failed;.;tenant=.=_other;.;".to_owned();
    assert_eq!(name(1, &[2, 2]), (failed, 1));
    assert_eq!(name(1, &[0, 2]), (admitted, 0));
}

#[test]
fn what_stands_for_others_needs_no_place() {
    let (counted, _, notes) = counted(Some(1));
    let cells = MapCells::default();
    let mut noted = Vec::new();
    for outcome in [0, 1] {
        counted.series(&rows(0, &[outcome, 1]), &cells, &notes, &mut noted);
    }
    assert!(cells.is_empty() && noted.is_empty(), "{noted:?}");
    counted.series(&rows(0, &[2, 1]), &cells, &notes, &mut noted);
    assert!(!cells.is_empty() && noted.is_empty(), "its outcome is one that goes: {noted:?}");
}

proptest! {
    #[test]
    fn workers_agree_and_lose_nothing(
        most in 1_usize..26,
        requests in prop::collection::vec((0_usize..2, 0_usize..3, 0_usize..3, 0_usize..3), 1..80),
    ) {
        let workers = [counted(Some(most)), counted(Some(most))];
        let cells = MapCells::default();
        let mut sums: BTreeMap<String, usize> = BTreeMap::new();
        let mut told = std::collections::HashSet::new();
        for (worker, route, outcome, tenant) in &requests {
            let (counted, metrics, notes) = &workers[*worker];
            let rows = rows(*route, &[*outcome, *tenant]);
            let series = counted.series(&rows, &cells, notes, &mut Vec::new());
            told.insert(series);
            let name = metrics.stat(series).unwrap().1;
            let outcome = if *outcome == 0 { "outcome=.=ok" } else { "outcome=.=" };
            prop_assert!(name.contains(outcome), "{name}");
            *sums.entry(name).or_default() += 1;
        }
        prop_assert_eq!(sums.values().sum::<usize>(), requests.len());
        prop_assert!(sums.len() <= most + 2);
        prop_assert_eq!(told.len(), sums.len(), "no two series are one stat");
        prop_assert!(cells.len() <= 1);
    }
}
