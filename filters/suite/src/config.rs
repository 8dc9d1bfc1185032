//! From one document to the four filters, or a refusal that points into the section at fault.

use authz::Authz;
use canary::Canary;
use filter_core::config::{parse, step};
use filter_core::{Filter, Invalid, Metrics};
use ratelimit::RateLimit;
use serde::Deserialize;
use serde_json::value::RawValue;
use telemetry::Telemetry;

use crate::Four;
use crate::chain::{End, Link};

/// The sections, each as it was written: what is in one is for its filter to judge.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, expecting = "a JSON object")]
struct Raw {
    telemetry: Option<Box<RawValue>>,
    authz: Option<Box<RawValue>>,
    ratelimit: Option<Box<RawValue>>,
    canary: Option<Box<RawValue>>,
}

/// The chain that the document configures.
pub(crate) fn chain(document: &[u8], metrics: &mut Metrics) -> Result<Four, Invalid> {
    let raw: Raw = parse(document)?;
    if [&raw.telemetry, &raw.authz, &raw.ratelimit, &raw.canary].iter().all(|raw| raw.is_none()) {
        let expected = "at least one of `telemetry`, `authz`, `ratelimit` and `canary`";
        return Err(Invalid::at("", expected, "none"));
    }
    Ok(Link {
        filter: section::<Telemetry>(raw.telemetry, metrics)?,
        behind: Link {
            filter: section::<Authz>(raw.authz, metrics)?,
            behind: Link {
                filter: section::<RateLimit>(raw.ratelimit, metrics)?,
                behind: Link { filter: section::<Canary>(raw.canary, metrics)?, behind: End },
            },
        },
    })
}

fn section<F: Filter>(
    raw: Option<Box<RawValue>>,
    metrics: &mut Metrics,
) -> Result<Option<F>, Invalid> {
    let configure = |raw: Box<RawValue>| F::configure(raw.get().as_bytes(), metrics);
    raw.map(configure).transpose().map_err(|invalid| invalid.under(&step(F::NAME)))
}
