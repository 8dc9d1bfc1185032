//! How much: buckets and quotas, divided among replicas.

use std::time::Duration;

use filter_core::Invalid;
use filter_core::config::{Object, Span, Whole};
use filter_core::matching::NonEmpty;

use super::raw::RawBucket;
use crate::gcra::InvalidLimit;
use crate::limit::{Limits, MAX_WINDOWS, Window};

/// What a rule must have.
pub(super) const ONE_LIMIT: &str = "one of `tokenBucket`, `limits` and `concurrency`";

const MAX_TOKENS: u64 = 1 << 32;
const MIN_INTERVAL: Span = Span(Duration::from_millis(1));

/// The limits that are written as one of `tokenBucket` and `limits`.
pub(super) fn limits(
    bucket: Option<Object<RawBucket>>,
    quotas: Option<NonEmpty<String>>,
    replicas: u64,
) -> Result<Limits, Invalid> {
    let windows = match (bucket, quotas) {
        (Some(Object(bucket)), None) => {
            vec![bucket.compile(replicas).map_err(|invalid| invalid.under("/tokenBucket"))?]
        }
        (None, Some(quotas)) => several(&quotas, replicas)?,
        (bucket, _) => {
            let found = if bucket.is_some() { "several" } else { "none" };
            return Err(Invalid::at("", ONE_LIMIT, found));
        }
    };
    Limits::new(&windows).ok_or_else(|| Invalid::at("/limits", "at least one", "none"))
}

fn several(quotas: &NonEmpty<String>, replicas: u64) -> Result<Vec<Window>, Invalid> {
    let count = quotas.iter().len();
    if count > MAX_WINDOWS {
        return Err(Invalid::at("/limits", format!("at most {MAX_WINDOWS}"), count.to_string()));
    }
    let mut windows: Vec<Window> = Vec::with_capacity(count);
    for (index, text) in quotas.iter().enumerate() {
        let pointer = format!("/limits/{index}");
        let Some((tokens, period)) = quota(text) else {
            let expected = "a quota like \"100/min\", \"5/10s\" or \"1000/day\"";
            return Err(Invalid::at(pointer, expected, format!("string {text:?}")));
        };
        if windows.iter().any(|window| window.period == period) {
            let found = format!("another of {period:?}");
            return Err(Invalid::at(pointer, "a time of its own", found));
        }
        let bucket = RawBucket {
            max_tokens: Whole(tokens),
            tokens_per_fill: Some(Whole(tokens)),
            fill_interval: Span(period),
        };
        let told = |invalid: Invalid| Invalid { pointer: pointer.clone(), ..invalid };
        windows.push(bucket.compile(replicas).map_err(told)?);
    }
    Ok(windows)
}

/// So many in so much time: `100/min`.
fn quota(text: &str) -> Option<(u64, Duration)> {
    let (tokens, unit) = text.split_once('/')?;
    let digits = !tokens.is_empty() && tokens.bytes().all(|digit| digit.is_ascii_digit());
    let tokens = tokens.parse().ok().filter(|_| digits)?;
    let seconds = match unit {
        "s" | "sec" | "second" => 1,
        "m" | "min" | "minute" => 60,
        "h" | "hour" => 3600,
        "d" | "day" => 86_400,
        span => return Span::parse(span).map(|span| (tokens, span.0)),
    };
    Some((tokens, Duration::from_secs(seconds)))
}

impl RawBucket {
    fn compile(self, replicas: u64) -> Result<Window, Invalid> {
        let burst = tokens("/maxTokens", self.max_tokens)?;
        let filled = tokens("/tokensPerFill", self.tokens_per_fill.unwrap_or(Whole(1)))?;
        let interval = self.fill_interval;
        if interval < MIN_INTERVAL {
            let found = format!("{:?}", interval.0);
            return Err(Invalid::at("/fillInterval", "a duration of at least 1ms", found));
        }
        if burst < replicas {
            let expected = format!("at least one for each of {replicas} replicas");
            return Err(Invalid::at("/maxTokens", expected, burst.to_string()));
        }
        let found = || format!("{filled} tokens every {:?}", interval.0);
        divided(burst, filled, interval.0, replicas).map_err(|invalid| match invalid {
            InvalidLimit::Zero | InvalidLimit::TooFast => {
                Invalid::at("/tokensPerFill", "at most one token a nanosecond", found())
            }
            InvalidLimit::TooSlow => Invalid::at(
                "/fillInterval",
                format!("a bucket of {burst} that fills within two years"),
                found(),
            ),
        })
    }
}

/// The share of one replica: so much less at once, and so much slower.
pub(crate) fn divided(
    burst: u64,
    tokens: u64,
    interval: Duration,
    replicas: u64,
) -> Result<Window, InvalidLimit> {
    let times = u32::try_from(replicas).map_err(|_| InvalidLimit::TooSlow)?;
    let slowed = interval.checked_mul(times).ok_or(InvalidLimit::TooSlow)?;
    let share = burst.checked_div(replicas).unwrap_or(burst).max(1);
    Ok(Window { period: interval, ..Window::bucket(share, tokens, slowed)? })
}

pub(super) fn tokens(pointer: &str, count: Whole) -> Result<u64, Invalid> {
    if (1..=MAX_TOKENS).contains(&count.0) {
        return Ok(count.0);
    }
    Err(Invalid::at(pointer, "a whole number from 1 to 2^32", count.0.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotas_are_written_as_people_say_them() {
        for (text, tokens, seconds) in [
            ("100/min", 100, 60),
            ("5/10s", 5, 10),
            ("1/s", 1, 1),
            ("7/hour", 7, 3600),
            ("1000/day", 1000, 86_400),
            ("3/1h30m", 3, 5400),
        ] {
            assert_eq!(quota(text), Some((tokens, Duration::from_secs(seconds))), "{text}");
        }
        for bad in ["", "100", "/min", "100/", "100/week", "-1/s", "+1/s", "1.5/s", "1 /s", "1/0"] {
            assert_eq!(quota(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_share_is_never_more_than_its_part() {
        let second = Duration::from_secs(1);
        for (burst, tokens, replicas) in [(10, 10, 3), (7, 1, 7), (100, 30, 1), (5, 2, 4)] {
            let whole = divided(burst, tokens, second, 1).unwrap();
            let share = divided(burst, tokens, second, replicas).unwrap();
            assert!(share.burst * replicas <= burst, "{burst} {replicas}");
            let slower = share.gcra.charge(1).unwrap();
            assert!(slower >= whole.gcra.charge(1).unwrap() * replicas - replicas);
        }
    }
}
