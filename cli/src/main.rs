//! `outrigger`: what the filters say, without a proxy.

mod check;
mod command;
mod document;

use std::io::{self, Write};
use std::process::ExitCode;

use command::Command;

/// The exit status of a run that came to no result.
const NO_RESULT: u8 = 2;

fn main() -> ExitCode {
    match Command::parse(std::env::args_os().skip(1)) {
        Ok(Command::Help) => say(command::HELP),
        Ok(Command::Version) => say(concat!("outrigger ", env!("CARGO_PKG_VERSION"), "\n")),
        Ok(Command::Check { filter, file }) => match document::read(&file) {
            Ok(text) => match check::check(filter, &file, &text) {
                Ok(series) => say(&format!("ok: {series} metric series\n")),
                Err(refusal) => complain(&refusal, ExitCode::FAILURE),
            },
            Err(error) => complain(
                &format!("outrigger: {}: {error}", file.display()),
                ExitCode::from(NO_RESULT),
            ),
        },
        Err(usage) => complain(
            &format!("outrigger: {usage}\nsee `outrigger --help`"),
            ExitCode::from(NO_RESULT),
        ),
    }
}

/// Prints a result. One that could not be printed is none.
fn say(text: &str) -> ExitCode {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::from(NO_RESULT),
    }
}

fn complain(error: &str, status: ExitCode) -> ExitCode {
    // If nobody listens, the exit status still tells.
    let _ = writeln!(io::stderr(), "{error}");
    status
}
