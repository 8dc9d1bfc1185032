//! What holds of layouts, whatever the weights.

use proptest::prelude::*;

use super::*;

fn layout(weights: &[u32]) -> Layout {
    let weights: Vec<_> =
        weights.iter().map(|parts| PartsPerMillion::new(*parts).unwrap()).collect();
    Layout::new(&weights).unwrap()
}

/// Weights that leave something over, and how much that is.
fn weights(variants: std::ops::Range<usize>) -> impl Strategy<Value = (Vec<u32>, u32)> {
    prop::collection::vec(prop_oneof![Just(0), 0..END], variants).prop_map(|cuts| {
        let mut rest = END;
        let take = |cut: u32| {
            let weight = cut.min(rest);
            rest -= weight;
            weight
        };
        (cuts.into_iter().map(take).collect(), rest)
    })
}

/// Every bucket at which either layout changes, so that between two of them neither does.
fn edges(a: &Layout, b: &Layout) -> Vec<u32> {
    let ranges = || a.ranges.iter().chain(&b.ranges);
    let mut edges: Vec<_> = ranges().flat_map(|range| [range.start, range.end]).collect();
    edges.push(0);
    edges.retain(|edge| *edge < END);
    edges
}

/// Who is where before and after one variant grew.
fn moves(before: &Layout, after: &Layout) -> Vec<(Option<usize>, Option<usize>)> {
    let edges = edges(before, after);
    edges.into_iter().map(|edge| (before.variant(edge), after.variant(edge))).collect()
}

fn grown(weights: &[u32], variant: usize, by: u32) -> Vec<u32> {
    let mut weights = weights.to_vec();
    weights[variant] += by;
    weights
}

proptest! {
    #[test]
    fn every_variant_has_its_weight((weights, _) in weights(1..9)) {
        let layout = layout(&weights);
        for (variant, weight) in weights.iter().enumerate() {
            let own = layout.ranges.iter().filter(|range| range.variant == variant);
            prop_assert_eq!(own.map(|range| range.end - range.start).sum::<u32>(), *weight);
        }
        prop_assert!(layout.ranges.iter().all(|range| range.start < range.end && range.end <= END));
        prop_assert!(layout.ranges.windows(2).all(|pair| pair[0].end <= pair[1].start));
    }

    #[test]
    fn a_variant_that_grows_keeps_everyone_and_leaves_those_before_it_alone(
        (weights, rest) in weights(1..9),
        which: prop::sample::Index,
        share in 0.0..1.0,
    ) {
        let variant = which.index(weights.len());
        let by = (f64::from(rest) * share) as u32;
        for (from, to) in moves(&layout(&weights), &layout(&grown(&weights, variant, by))) {
            let settled = from.is_some_and(|from| from <= variant);
            prop_assert!(!settled || from == to);
        }
    }

    #[test]
    fn with_two_variants_only_stable_users_move(
        (weights, rest) in weights(1..3),
        which: prop::sample::Index,
        share in 0.0..1.0,
    ) {
        let variant = which.index(weights.len());
        let by = (f64::from(rest) * share) as u32;
        for (from, to) in moves(&layout(&weights), &layout(&grown(&weights, variant, by))) {
            prop_assert!(from == to || (from.is_none() && to == Some(variant)));
        }
    }

    #[test]
    fn within_its_room_a_variant_takes_only_stable_users(
        small in prop::collection::vec(0..END / 6, 6),
        thirds in prop::collection::vec(0..END / 3, 3),
        which: prop::sample::Index,
        share in 0.0..1.0,
    ) {
        for (weights, room) in [(small, END / 6), (thirds, END / 3)] {
            let variant = which.index(weights.len());
            let by = (f64::from(room - weights[variant]) * share) as u32;
            for (from, to) in moves(&layout(&weights), &layout(&grown(&weights, variant, by))) {
                prop_assert!(from == to || (from.is_none() && to == Some(variant)));
            }
        }
    }

    #[test]
    fn a_variant_appended_moves_none_of_those_before((weights, rest) in weights(1..9), share in 0.0..1.0) {
        let more = [&weights[..], &[(f64::from(rest) * share) as u32]].concat();
        for (from, to) in moves(&layout(&weights), &layout(&more)) {
            prop_assert!(from.is_none() || from == to);
        }
    }

    #[test]
    fn what_a_variant_loses_is_who_leaves_it((before, _) in weights(1..6), (after, _) in weights(1..6)) {
        let (before, after) = (layout(&before), layout(&after));
        let mut edges = edges(&before, &after);
        edges.push(END);
        edges.sort_unstable();
        let mut expected = vec![0; 6];
        for pair in edges.windows(2) {
            if let Some(variant) = before.variant(pair[0]) && after.variant(pair[0]) != Some(variant) {
                expected[variant] += pair[1] - pair[0];
            }
        }
        let lost = before.lost(&after);
        expected.truncate(lost.len());
        prop_assert_eq!(lost, expected);
    }

    #[test]
    fn a_single_variant_is_what_lies_below_its_weight(weight in 0..=END, bucket in 0..END) {
        prop_assert_eq!(layout(&[weight]).variant(bucket).is_some(), bucket < weight);
    }
}

#[test]
fn platforms_put_one_after_the_other() {
    // From `getBucketRange` and `chooseVariation` of GrowthBook's `cases.json` (spec 0.8.0).
    let ranges = |weights: &[u32], coverage: u32| {
        let weights: Vec<_> =
            weights.iter().map(|parts| PartsPerMillion::new(*parts).unwrap()).collect();
        let layout = Layout::in_order(&weights, PartsPerMillion::new(coverage).unwrap());
        let ranges = layout.unwrap().ranges;
        ranges.iter().map(|range| (range.start, range.end)).collect::<Vec<_>>()
    };
    let half = [500_000, 500_000];
    assert_eq!(ranges(&half, END), [(0, 500_000), (500_000, END)]);
    assert_eq!(ranges(&half, 500_000), [(0, 250_000), (500_000, 750_000)]);
    assert_eq!(ranges(&half, 0), []);
    assert_eq!(ranges(&[400_000, 600_000], END), [(0, 400_000), (400_000, END)]);
    assert_eq!(
        ranges(&[200_000, 300_000, 500_000], 200_000),
        [(0, 40_000), (200_000, 260_000), (500_000, 600_000)]
    );
    assert_eq!(ranges(&[500_000, 0, 500_000], END), [(0, 500_000), (500_000, END)]);
    let weights = [500_000, 500_001].map(|parts| PartsPerMillion::new(parts).unwrap());
    assert_eq!(Layout::in_order(&weights, PartsPerMillion::ALL), None);
}

#[test]
fn weights_beyond_all_are_no_layout() {
    let all = PartsPerMillion::ALL;
    let one = PartsPerMillion::new(1).unwrap();
    assert_eq!(Layout::new(&[all, one]), None);
    assert!(Layout::new(&[all, PartsPerMillion::default()]).is_some());
    assert_eq!(Layout::new(&vec![all; 5000]), None);
}
