//! The processor time that a process has used, to the nanosecond.

use std::path::PathBuf;
use std::time::Duration;

use crate::poll;

/// Reads the scheduler's account of all threads of a process (Linux, `/proc/PID/task/*/schedstat`).
#[derive(Clone, Debug)]
pub struct CpuMeter {
    tasks: PathBuf,
}

impl CpuMeter {
    /// The meter of a process.
    #[must_use]
    pub fn of(process: u32) -> Self {
        Self { tasks: PathBuf::from(format!("/proc/{process}/task")) }
    }

    /// What the process has used since it began, once it rests. The account of a thread that runs lags behind by up to
    /// a scheduler's tick, so a reading counts when the next is the same.
    ///
    /// # Errors
    /// When there is no such process, it does not come to rest, or the system keeps no account.
    pub fn at_rest(&self) -> Result<Duration, String> {
        let mut last = None;
        poll::until(poll::DEADLINE, "envoy to rest", || {
            let reading = match self.read() {
                Ok(reading) => reading,
                Err(error) => return Some(Err(error)),
            };
            let rests = last.replace(reading) == Some(reading);
            rests.then_some(Ok(reading))
        })?
    }

    fn read(&self) -> Result<Duration, String> {
        let fault = |error: &dyn std::fmt::Display| format!("{}: {error}", self.tasks.display());
        let mut sum = Duration::ZERO;
        for task in std::fs::read_dir(&self.tasks).map_err(|error| fault(&error))? {
            let path = task.map_err(|error| fault(&error))?.path().join("schedstat");
            let text = std::fs::read_to_string(&path).map_err(|error| fault(&error))?;
            sum = sum.saturating_add(on_cpu(&text).ok_or_else(|| fault(&"not a schedstat"))?);
        }
        if sum.is_zero() { Err(fault(&"this system keeps no schedstat")) } else { Ok(sum) }
    }
}

/// The first of a schedstat's three numbers: nanoseconds on a processor.
fn on_cpu(schedstat: &str) -> Option<Duration> {
    schedstat.split_whitespace().next()?.parse().ok().map(Duration::from_nanos)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_schedstat_begins_with_the_time_on_a_processor() {
        assert_eq!(on_cpu("1953311 4402 12\n"), Some(Duration::from_nanos(1_953_311)));
        assert_eq!(on_cpu(""), None);
        assert_eq!(on_cpu("- - -"), None);
    }

    #[test]
    fn a_process_that_is_not_there_is_an_error() {
        assert!(CpuMeter::of(u32::MAX).at_rest().is_err());
    }
}
