//! The corpus of this filter, played natively.

use std::path::Path;

#[test]
fn cases() {
    filter_core::fixture::run_cases::<authz::Authz>(
        &Path::new(env!("CARGO_MANIFEST_DIR")).join("cases"),
    );
}
