//! What can be told of rollouts without a proxy: whether a change of what runs moves anybody, and who may have a preview.

use std::path::Path;
use std::time::{Duration, SystemTime};

use filter_core::{Filter, Invalid};

use crate::command::PreviewToken;
use crate::document;
use crate::failure::Failure;

/// A file, and its text.
pub(crate) type Named<'a> = (&'a Path, &'a [u8]);

/// Holds `next` against `running`, as of now. Tells every fault, a line each.
pub(crate) fn compare(running: Named<'_>, next: Named<'_>) -> Result<(), Failure> {
    let json = |(file, text): Named<'_>| -> Result<Vec<u8>, Failure> {
        let json = document::json(file, text).map_err(refused)?;
        Ok(json.into_owned())
    };
    let was = json(running)?;
    // What is wrong with it is not said of the next.
    crate::check::check(crate::check::FilterName::Canary, running.0, running.1)
        .map_err(|line| Failure::Refused(line).of(running.0.display()))?;
    let faults = canary::compare(&was, &json(next)?, now()?).map_err(refused)?;
    if faults.is_empty() {
        return Ok(());
    }
    let lines: Vec<String> = faults.iter().map(line).collect();
    Err(Failure::Refused(lines.join("\n")))
}

/// Makes a token.
pub(crate) fn token(token: &PreviewToken, text: &[u8]) -> Result<String, Failure> {
    let json = document::json(&token.file, text).map_err(refused)?;
    let expires = now()?.saturating_add(token.lasts);
    let subject = token.subject.as_deref().map(str::as_bytes);
    canary::preview_token(&json, &token.rollout, &token.version, expires, subject).map_err(refused)
}

fn now() -> Result<Duration, Failure> {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    since.map_err(|error| Failure::NotDone(format!("outrigger: {error}")))
}

fn refused(invalid: Invalid) -> Failure {
    Failure::Refused(line(&invalid))
}

fn line(invalid: &Invalid) -> String {
    format!("{}: configuration refused {invalid}", canary::Canary::NAME)
}
