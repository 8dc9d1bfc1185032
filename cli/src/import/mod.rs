//! Configurations of Envoy's own filters, as ours.

mod actions;
mod local_ratelimit;
mod percent;

use std::path::Path;

use filter_core::{Filter, Invalid, Metrics};
use ratelimit::RateLimit;

use crate::document;

/// What an import yields.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Imported {
    /// The configuration of our filter, as JSON.
    pub(crate) document: String,
    /// What means something else from now on.
    pub(crate) notes: Vec<String>,
}

/// Makes a configuration of `local_ratelimit` one of ratelimit, or says what of it cannot be expressed.
pub(crate) fn local_ratelimit(file: &Path, text: &[u8]) -> Result<Imported, String> {
    let refused = |invalid: Invalid| format!("local_ratelimit: not imported {invalid}");
    let json = document::json(file, text).map_err(refused)?;
    let (value, notes) = local_ratelimit::import(&json).map_err(refused)?;
    let document = format!("{value:#}\n");
    // The filter has the last word.
    RateLimit::configure(document.as_bytes(), &mut Metrics::default())
        .map_err(|invalid| format!("local_ratelimit: imported, but then refused {invalid}"))?;
    Ok(Imported { document, notes })
}
