//! The `log` crate's messages, and panics, in the proxy's log.

use log::{Level, LevelFilter, Log, Metadata, Record};

use crate::abi;

struct Logger;

impl Log for Logger {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &Record<'_>) {
        let level = match record.level() {
            Level::Trace => 0,
            Level::Debug => 1,
            Level::Info => 2,
            Level::Warn => 3,
            Level::Error => 4,
        };
        abi::log(level, &record.args().to_string());
    }

    fn flush(&self) {}
}

/// Sends logs to the proxy, from here on. More than once is as good as once.
pub(crate) fn start() {
    const CRITICAL: u32 = 5;
    if log::set_logger(&Logger).is_ok() {
        log::set_max_level(LevelFilter::Info);
        std::panic::set_hook(Box::new(|panic| abi::log(CRITICAL, &panic.to_string())));
    }
}
