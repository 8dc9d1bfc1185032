//! The numbers, natively.
#![cfg(not(target_arch = "wasm32"))]

mod numbers;

#[test]
fn the_rate_is_that_of_throttled_and_redis_cell() {
    numbers::the_rate_is_that_of_throttled_and_redis_cell();
}

#[test]
fn a_third_of_a_second_is_rounded_up() {
    numbers::a_third_of_a_second_is_rounded_up();
}

#[test]
fn a_key_has_one_place() {
    numbers::a_key_has_one_place();
}

#[test]
fn a_slot_has_one_layout() {
    numbers::a_slot_has_one_layout();
}

#[test]
fn a_slot_of_several_windows_has_one_layout() {
    numbers::a_slot_of_several_windows_has_one_layout();
}
