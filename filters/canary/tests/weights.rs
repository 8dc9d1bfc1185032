//! Weights that the route keeps: what Envoy makes of the number that we give it.
#![cfg(not(target_arch = "wasm32"))]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod asked;

use asked::{Asked, Peer};

/// Which cluster Envoy picks for a number (`weighted_clusters.header_name`): the number modulo the sum of the weights, and
/// the first cluster whose weights reach beyond it.
fn picked(weights: &[u64], number: u64) -> usize {
    let mut left = number % weights.iter().sum::<u64>();
    let beyond = |weight: &u64| {
        let found = left < *weight;
        left = left.saturating_sub(*weight);
        found
    };
    weights.iter().position(beyond).unwrap()
}

#[test]
fn envoy_picks_as_its_own_tests_expect() {
    // `WeightedClusters` and `WeightedClusterWithProvidedRandomValue` of test/common/router/config_impl_test.cc (Apache-2.0).
    for (weights, rows) in [
        (&[8000, 1000, 1000][..], &[(1150, 0), (8100, 1), (9200, 2)][..]),
        (&[1000, 12000, 1000], &[(500, 0), (1500, 1), (9999, 1)]),
        (&[1, 2, 3], &[(1005, 2), (82, 2), (92, 1)]),
        (&[40, 40], &[(10, 0), (60, 1)]),
    ] {
        for (number, cluster) in rows {
            assert_eq!(picked(weights, *number), *cluster, "{number} of {weights:?}");
        }
    }
}

#[test]
fn with_stable_first_a_growing_canary_keeps_everyone_and_has_its_share() {
    let document = r#"{"rollouts":[{"name":"a","bucketHeader":{"name":"x-bucket"},"key":[{"header":"x-user"}]}]}"#;
    let buckets: Vec<u64> = (0..2000)
        .map(|user| {
            let user = format!("user-{user}");
            let asked = Asked::of(document, "/", Peer::None, &[("x-user", &user)]);
            asked.upstream("x-bucket")[0].parse().unwrap()
        })
        .collect();
    let mut before = vec![0; buckets.len()];
    for weight in [0, 1, 5, 25, 50, 99, 100] {
        let now: Vec<usize> =
            buckets.iter().map(|bucket| picked(&[100 - weight, weight], *bucket)).collect();
        assert!(before.iter().zip(&now).all(|(before, now)| before <= now), "{weight}");
        // Four standard deviations of a fair draw at most.
        let on_canary: usize = now.iter().sum();
        assert!(on_canary.abs_diff(usize::try_from(weight * 20).unwrap()) <= 90, "{weight}");
        before = now;
    }
}
