//! The numbers, natively.
#![cfg(not(target_arch = "wasm32"))]

mod numbers;

#[test]
fn the_hash_is_murmur3() {
    numbers::the_hash_is_murmur3();
}

#[test]
fn a_user_has_one_bucket() {
    numbers::a_user_has_one_bucket();
}

#[test]
fn a_weight_is_a_threshold() {
    numbers::a_weight_is_a_threshold();
}

#[test]
fn variants_have_fixed_places() {
    numbers::variants_have_fixed_places();
}

#[test]
fn a_user_is_where_the_platform_has_it() {
    numbers::a_user_is_where_the_platform_has_it();
}

#[test]
fn a_namespace_is_divided_as_growthbook_divides_it() {
    numbers::a_namespace_is_divided_as_growthbook_divides_it();
}
