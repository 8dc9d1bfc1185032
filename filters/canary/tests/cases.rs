//! The corpus, run natively.
#![cfg(not(target_arch = "wasm32"))]

use std::path::Path;

#[test]
fn cases() {
    filter_core::fixture::run_cases::<canary::Canary>(
        &Path::new(env!("CARGO_MANIFEST_DIR")).join("cases"),
    );
}
