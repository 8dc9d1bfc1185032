//! The same numbers, as WebAssembly under Node.
#![cfg(all(target_arch = "wasm32", target_os = "unknown"))]

mod numbers;

use wasm_bindgen_test::wasm_bindgen_test;

#[wasm_bindgen_test]
fn the_hash_is_murmur3() {
    numbers::the_hash_is_murmur3();
}

#[wasm_bindgen_test]
fn a_user_has_one_bucket() {
    numbers::a_user_has_one_bucket();
}

#[wasm_bindgen_test]
fn a_weight_is_a_threshold() {
    numbers::a_weight_is_a_threshold();
}

#[wasm_bindgen_test]
fn variants_have_fixed_places() {
    numbers::variants_have_fixed_places();
}

#[wasm_bindgen_test]
fn a_user_is_where_the_platform_has_it() {
    numbers::a_user_is_where_the_platform_has_it();
}

#[wasm_bindgen_test]
fn a_namespace_is_divided_as_growthbook_divides_it() {
    numbers::a_namespace_is_divided_as_growthbook_divides_it();
}
