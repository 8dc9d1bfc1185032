//! Where things lie in the checkout.

use std::path::{Path, PathBuf};

/// The repository's root.
#[must_use]
pub fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here).to_owned()
}

/// The file of a module that a build left, by its path from the root.
///
/// # Errors
/// When there is none.
pub fn module(path: &str) -> Result<PathBuf, String> {
    let file = root().join(path);
    if file.is_file() {
        Ok(file)
    } else {
        Err(format!("{path} is missing: run `make build` first"))
    }
}
