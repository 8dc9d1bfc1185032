//! Plays the corpus to the filter.

use std::path::Path;

#[test]
fn cases() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("cases");
    filter_core::fixture::run_cases::<suite::Suite>(&folder);
}
