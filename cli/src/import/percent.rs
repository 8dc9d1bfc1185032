//! Percentages that may change while Envoy runs (`RuntimeFractionalPercent`), by their default.

use filter_core::Invalid;
use filter_core::config::{Object, Whole};
use serde::Deserialize;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Percent {
    #[serde(alias = "runtimeKey")]
    pub(super) runtime_key: Option<String>,
    #[serde(alias = "defaultValue")]
    default_value: Option<Object<Fraction>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Fraction {
    #[serde(default = "zero")]
    numerator: Whole,
    denominator: Option<String>,
}

fn zero() -> Whole {
    Whole(0)
}

/// A percentage as a whole number. Unset is none, as in Envoy.
pub(super) fn share(pointer: &str, percent: Option<Object<Percent>>) -> Result<u64, Invalid> {
    let Some(Object(fraction)) = percent.and_then(|percent| percent.0.default_value) else {
        return Ok(0);
    };
    let parts: u64 = match fraction.denominator.as_deref() {
        None | Some("HUNDRED") => 1,
        Some("TEN_THOUSAND") => 100,
        Some("MILLION") => 10_000,
        Some(other) => {
            let expected = "`HUNDRED`, `TEN_THOUSAND` or `MILLION`";
            return Err(Invalid::at(
                format!("{pointer}/default_value/denominator"),
                expected,
                other,
            ));
        }
    };
    let numerator = fraction.numerator.0;
    match (numerator.checked_rem(parts), numerator.checked_div(parts)) {
        (Some(0), Some(percent)) => Ok(percent.min(100)),
        _ => {
            let expected = "whole percents";
            let found = format!("{numerator} of {parts}00");
            Err(Invalid::at(format!("{pointer}/default_value"), expected, found))
        }
    }
}
