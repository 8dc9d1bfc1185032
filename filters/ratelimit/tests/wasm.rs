//! The same numbers, as WebAssembly under Node.
#![cfg(all(target_arch = "wasm32", target_os = "unknown"))]

mod numbers;

use wasm_bindgen_test::wasm_bindgen_test;

#[wasm_bindgen_test]
fn the_rate_is_that_of_throttled_and_redis_cell() {
    numbers::the_rate_is_that_of_throttled_and_redis_cell();
}

#[wasm_bindgen_test]
fn a_third_of_a_second_is_rounded_up() {
    numbers::a_third_of_a_second_is_rounded_up();
}

#[wasm_bindgen_test]
fn a_key_has_one_place() {
    numbers::a_key_has_one_place();
}

#[wasm_bindgen_test]
fn a_slot_has_one_layout() {
    numbers::a_slot_has_one_layout();
}

#[wasm_bindgen_test]
fn a_slot_of_several_windows_has_one_layout() {
    numbers::a_slot_of_several_windows_has_one_layout();
}
