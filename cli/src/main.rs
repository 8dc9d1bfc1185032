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
mod render;
mod rollouts;

use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;

use check::FilterName;
use command::Command;
use failure::Failure;
use render::{Form, Needs, Source};

/// The exit status of a run that came to no result.
const NO_RESULT: u8 = 2;

fn main() -> ExitCode {
    let done = match Command::parse(std::env::args_os().skip(1)) {
        Ok(Command::Help) => Ok(command::HELP.to_owned()),
        Ok(Command::Version) => {
            Ok(concat!("outrigger ", env!("CARGO_PKG_VERSION"), "\n").to_owned())
        }
        Ok(Command::Check { filter, file, running }) => checked(filter, &file, running.as_deref()),
        Ok(Command::PreviewToken(token)) => read(&token.file)
            .and_then(|text| rollouts::token(&token, &text).map(|token| format!("{token}\n"))),
        Ok(Command::Import { file }) => read(&file).and_then(|text| {
            let found = import::local_ratelimit(&file, &text)?;
            // If nobody listens, the configuration is still good.
            found.notes.iter().for_each(|note| drop(writeln!(io::stderr(), "note: {note}")));
            Ok(found.document)
        }),
        Ok(Command::Render { form, sources }) => rendered(form, &sources),
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

/// What a proxy must be told of these plugins' metrics.
fn rendered(form: Form, sources: &[Source]) -> Result<String, Failure> {
    let mut needs = Needs::default();
    for Source { filter, file } in sources {
        let text = read(file)?;
        needs.add(*filter, file, &text).map_err(Failure::Refused)?;
    }
    Ok(needs.render(form))
}

/// Checks a configuration, and holds it against the one that runs.
fn checked(filter: FilterName, file: &Path, running: Option<&Path>) -> Result<String, Failure> {
    let text = read(file)?;
    let checked = check::check(filter, file, &text)?;
    let Some(running) = running else { return Ok(format!("ok: {checked}\n")) };
    rollouts::compare((running, &read(running)?), (file, &text))?;
    Ok(format!("ok: {checked}; everybody keeps their variant\n"))
}

fn read(file: &Path) -> Result<Vec<u8>, Failure> {
    document::read(file)
        .map_err(|error| Failure::NotDone(error.to_string()).of(file.display()).of("outrigger"))
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
