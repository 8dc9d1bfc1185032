//! Whether a request is recorded, as far as that is decided here.

use super::id::TraceId;

/// What becomes of the sampled flag.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sampler {
    /// In a trace that goes on.
    pub(crate) continued: Continued,
    /// In a trace that begins here, and where the flag that came is not believed or there was none; `None` to leave that
    /// to others.
    pub(crate) begun: Option<Ratio>,
}

/// What becomes of the flag that came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Continued {
    /// It stays.
    Keep,
    /// It is unset.
    Never,
    /// It is set.
    Always,
}

/// A share of all traces, told by the random bits of their ids, so that whoever asks for as large a share records the
/// same ones (OpenTelemetry, "Probability Sampling", its rejection threshold).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ratio(u64);

impl Ratio {
    /// No trace.
    const NONE: Self = Self(1 << TraceId::RANDOM_BITS);

    /// This many of 100.
    pub(crate) fn percent(percent: f64) -> Option<Self> {
        #[expect(clippy::cast_precision_loss, reason = "2^56 is exact in float64")]
        let all = Self::NONE.0 as f64;
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "between 0 and 2^56"
        )]
        let threshold = |percent: f64| (all * (1.0 - percent / 100.0)) as u64;
        (0.0..=100.0).contains(&percent).then(|| Self(threshold(percent)))
    }

    /// Whether a trace with these random bits is one of them.
    pub(crate) fn takes(self, random_bits: u64) -> bool {
        random_bits >= self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_of_the_random_bits() {
        let half = 1_u64 << 55;
        for (percent, bits, taken) in [
            (0.0, (1 << 56) - 1, false),
            (100.0, 0, true),
            (50.0, half, true),
            (50.0, half - 1, false),
            (25.0, half + half / 2, true),
            (25.0, half + half / 2 - 1, false),
        ] {
            assert_eq!(Ratio::percent(percent).unwrap().takes(bits), taken, "{percent} {bits}");
        }
        assert_eq!(Ratio::percent(0.0), Some(Ratio::NONE));
        for percent in [-0.1, 100.1, f64::NAN, f64::INFINITY] {
            assert_eq!(Ratio::percent(percent), None);
        }
    }
}
