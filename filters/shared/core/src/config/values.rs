//! Values that many configurations hold, exact whatever way they came.

use std::time::Duration;

use serde::de::{Error as _, Unexpected};
use serde::{Deserialize, Deserializer};

/// A duration as Istio and Envoy write it: `"1m30s"`, `"0.5s"`, `"250ms"`, `"2h"`; units h, m, s, ms, each at most
/// once and in this order. Never negative.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span(pub Duration);

impl Span {
    /// The duration that `text` writes, exact to the nanosecond.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut rest = text;
        let mut total: u64 = 0;
        let mut last_unit = u64::MAX;
        while !rest.is_empty() {
            let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
            let (number, tail) = rest.split_at_checked(digits)?;
            let (unit, tail) = [
                ("h", 3_600_000_000_000_u64),
                ("ms", 1_000_000),
                ("m", 60_000_000_000),
                ("s", 1_000_000_000),
            ]
            .iter()
            .find_map(|(name, nanos)| tail.strip_prefix(name).map(|tail| (*nanos, tail)))?;
            if unit >= last_unit {
                return None;
            }
            last_unit = unit;
            total = total.checked_add(scaled(number, unit)?)?;
            rest = tail;
        }
        (!text.is_empty()).then_some(Self(Duration::from_nanos(total)))
    }
}

/// `number` (decimal digits, perhaps with a fraction) times `unit`; `None` if that is not a whole number.
fn scaled(number: &str, unit: u64) -> Option<u64> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
    if whole.is_empty() || fraction.is_empty() || fraction.len() > 9 {
        return None;
    }
    let scale = 10_u64.checked_pow(u32::try_from(fraction.len()).ok()?)?;
    let part = fraction.parse::<u64>().ok()?.checked_mul(unit)?;
    let exact = part.checked_rem(scale)? == 0;
    let part = exact.then(|| part.checked_div(scale)).flatten()?;
    whole.parse::<u64>().ok()?.checked_mul(unit)?.checked_add(part)
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| {
            D::Error::invalid_value(
                Unexpected::Str(&text),
                &"a duration like \"1m30s\" or \"0.5s\"",
            )
        })
    }
}

/// A whole number that may have travelled as a float: Istio passes a plugin's numbers through float64, so `100.0`
/// and `1e2` mean 100. What no float64 tells apart (above 2⁵³) or has a fraction is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Whole(pub u64);

impl Whole {
    /// The largest whole number below which float64 tells all apart.
    pub const MAX: u64 = 1 << 53;
}

impl<'de> Deserialize<'de> for Whole {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        const EXPECTED: &str = "a whole number from 0 to 2^53";
        let number = serde_json::Number::deserialize(deserializer)?;
        let whole =
            if number.is_f64() { number.as_f64().and_then(integral) } else { number.as_u64() };
        if let Some(whole) = whole.filter(|whole| *whole <= Self::MAX) {
            return Ok(Self(whole));
        }
        Err(D::Error::invalid_value(Unexpected::Other(&format!("number {number}")), &EXPECTED))
    }
}

/// The whole number that a float is, up to [`Whole::MAX`].
fn integral(float: f64) -> Option<u64> {
    #[expect(clippy::cast_precision_loss, reason = "2^53 is exact in float64")]
    let in_range = float >= 0.0 && float <= Whole::MAX as f64 && float.fract() == 0.0;
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a whole number between 0 and 2^53"
    )]
    in_range.then_some(float as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_numbers_survive_float64() {
        for (text, whole) in
            [("100", 100), ("100.0", 100), ("1e2", 100), ("0", 0), ("9007199254740992", 1 << 53)]
        {
            assert_eq!(serde_json::from_str::<Whole>(text).unwrap(), Whole(whole), "{text}");
        }
        for text in
            ["-1", "1.5", "1e300", "9007199254740993", "18446744073709551615", "\"1\"", "null"]
        {
            assert!(serde_json::from_str::<Whole>(text).is_err(), "{text}");
        }
    }

    #[test]
    fn durations_are_written_as_in_istio() {
        for (text, millis) in [
            ("1m30s", 90_000),
            ("0.5s", 500),
            ("250ms", 250),
            ("2h", 7_200_000),
            ("0s", 0),
            ("1h1m1s1ms", 3_661_001),
        ] {
            assert_eq!(Span::parse(text), Some(Span(Duration::from_millis(millis))), "{text}");
        }
        for text in [
            "",
            "5",
            "s",
            "-1s",
            "1s1s",
            "1s1m",
            "1 s",
            ".5s",
            "5.s",
            "1.0000000001s",
            "99999999999h",
            "1d",
            "1e3s",
        ] {
            assert_eq!(Span::parse(text), None, "{text}");
        }
    }
}
