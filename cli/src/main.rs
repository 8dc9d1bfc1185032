//! `outrigger`: what the filters say, without a proxy, and their modules as images.

mod check;
mod command;
mod credentials;
mod document;
mod failure;
mod image;
mod import;
mod layer;
mod layout;
mod module;
mod options;
mod publish;
mod reference;
mod registry;
mod trim;

use std::io::{self, Write};
use std::process::ExitCode;

use command::Command;
use failure::Failure;

/// The exit status of a run that came to no result.
const NO_RESULT: u8 = 2;

fn main() -> ExitCode {
    let done = match Command::parse(std::env::args_os().skip(1)) {
        Ok(Command::Help) => Ok(command::HELP.to_owned()),
        Ok(Command::Version) => {
            Ok(concat!("outrigger ", env!("CARGO_PKG_VERSION"), "\n").to_owned())
        }
        Ok(Command::Check { filter, file }) => match document::read(&file) {
            Ok(text) => match check::check(filter, &file, &text) {
                Ok(checked) => Ok(format!("ok: {checked}\n")),
                Err(refusal) => Err(Failure::Refused(refusal)),
            },
            Err(error) => {
                Err(Failure::NotDone(error.to_string()).of(file.display()).of("outrigger"))
            }
        },
        Ok(Command::Import { file }) => match document::read(&file) {
            Ok(text) => {
                import::local_ratelimit(&file, &text).map_err(Failure::Refused).map(|found| {
                    // If nobody listens, the configuration is still good.
                    found
                        .notes
                        .iter()
                        .for_each(|note| drop(writeln!(io::stderr(), "note: {note}")));
                    found.document
                })
            }
            Err(error) => {
                Err(Failure::NotDone(error.to_string()).of(file.display()).of("outrigger"))
            }
        },
        Ok(Command::Trim { filter, module, file }) => trim::trim(filter, &module, &file)
            .map(|()| String::new())
            .map_err(|failure| failure.of("outrigger")),
        Ok(Command::Package { module, tag, folder }) => {
            publish::package(&module, tag.as_deref(), &folder)
                .map(|digest| format!("{digest}\n"))
                .map_err(|failure| failure.of("outrigger"))
        }
        Ok(Command::Push(push)) => publish::push(&push)
            .map(|pinned| format!("{pinned}\n"))
            .map_err(|failure| failure.of("outrigger")),
        Err(usage) => Err(Failure::NotDone(format!("outrigger: {usage}\nsee `outrigger --help`"))),
    };
    match done {
        Ok(text) => say(&text),
        Err(Failure::Refused(text)) => complain(&text, ExitCode::FAILURE),
        Err(Failure::NotDone(text)) => complain(&text, ExitCode::from(NO_RESULT)),
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
