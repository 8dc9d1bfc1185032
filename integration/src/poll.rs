//! Waiting for what another process does. The only place that sleeps.

use std::time::{Duration, Instant};

/// Between two looks. Short against everything waited for, long against the cost of a look.
const INTERVAL: Duration = Duration::from_millis(5);

/// How long anything may take before it counts as failed. Generous: a busy machine is slow, not broken.
pub const DEADLINE: Duration = Duration::from_secs(60);

/// Looks until `look` finds something.
///
/// # Errors
/// When `deadline` passes first: that `what` did not come.
pub fn until<T>(
    deadline: Duration,
    what: &str,
    mut look: impl FnMut() -> Option<T>,
) -> Result<T, String> {
    let begin = Instant::now();
    loop {
        if let Some(found) = look() {
            return Ok(found);
        }
        if begin.elapsed() > deadline {
            return Err(format!("waited {} s for {what}", deadline.as_secs()));
        }
        #[expect(clippy::disallowed_methods, reason = "this is the place that waits")]
        std::thread::sleep(INTERVAL);
    }
}
