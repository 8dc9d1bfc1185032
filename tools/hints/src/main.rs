//! Tells the proxy's compiler which branches of a module are seldom taken, so that it lays what is run out together.
//!
//! `hints MODULE OUT CASES...` plays the requests of the corpus that get through to a copy of MODULE that counts, and
//! writes MODULE to OUT with what was found (`metadata.code.branch_hint`, WebAssembly's branch hinting, which V8 heeds
//! from 13.7 on). CASES is a folder of case files, or `MEMBER=FOLDER` if their configurations are a member of the
//! module's. No instruction is changed: a proxy that knows no hints ignores them.

mod branches;
mod player;
mod proxy;
mod section;

use std::path::Path;
use std::process::ExitCode;

use cases::{CaseFile, Request};
use serde_json::{Map, Value};

use branches::Counts;
use player::Player;

/// How often each request is sent in a row: once with all new, and then as most requests come.
const TIMES: usize = 4;
/// How often all of a file's requests are sent. The first time does not count, as things are made then that last.
const PASSES: u32 = 3;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let told = match &arguments[..] {
        [module, out, cases @ ..] if !cases.is_empty() => hint(module, out, cases),
        _ => Err("usage: hints MODULE OUT CASES...".to_owned()),
    };
    match told {
        Ok(summary) => {
            println!("{summary}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("hints: {error}");
            ExitCode::FAILURE
        }
    }
}

fn hint(module: &str, out: &str, cases: &[String]) -> Result<String, String> {
    let fault = |error: &dyn std::fmt::Display| format!("{module}: {error}");
    let bytes = std::fs::read(module).map_err(|error| fault(&error))?;
    let branches = branches::of(&bytes).map_err(|error| fault(&error))?;
    let counting = branches::counting(&bytes, branches.len()).map_err(|error| fault(&error))?;
    let mut counts = Counts::none(branches.len());
    let (mut files, mut requests) = (0, 0);
    for argument in cases {
        let (member, folder) = match argument.split_once('=') {
            Some((member, folder)) => (Some(member), folder),
            None => (None, argument.as_str()),
        };
        for file in CaseFile::read_all(Path::new(folder))? {
            let configuration = within(member, file.configuration()).to_string();
            let fault = |error| format!("{}: {error}", file.path.display());
            let played = play(&counting, &configuration, &file, &mut counts).map_err(fault)?;
            files += usize::from(played > 0);
            requests += played;
        }
    }
    if requests == 0 {
        return Err(fault(&"no request of the corpus gets through it"));
    }
    let hints = counts.hints(&branches);
    let hinted = section::written(&bytes, &hints).map_err(|error| fault(&error))?;
    std::fs::write(out, hinted).map_err(|error| format!("{out}: {error}"))?;
    Ok(format!(
        "{out}: {requests} requests of {files} files reach {} of {} branches, and leave {} hints",
        counts.reached(),
        branches.len(),
        hints.len(),
    ))
}

fn within(member: Option<&str>, configuration: Value) -> Value {
    match member {
        Some(member) => Value::Object(Map::from_iter([(member.to_owned(), configuration)])),
        None => configuration,
    }
}

/// Plays the requests of a file that get through, and returns how many those are.
fn play(
    module: &[u8],
    configuration: &str,
    file: &CaseFile,
    counts: &mut Counts,
) -> Result<usize, String> {
    let mut through = Vec::new();
    for step in &file.steps {
        if (200..300).contains(&step.expect.status) && is_reproducible(&step.request)? {
            through.push(step);
        }
    }
    if through.is_empty() || file.moves_time() {
        return Ok(0);
    }
    // What needs more of a proxy than is played here is left out.
    let Some(mut player) = Player::configured(module, configuration)? else { return Ok(0) };
    for pass in 0..PASSES {
        let now = player.tomorrow();
        for step in &through {
            let request = step.request.minted(now)?;
            for _ in 0..TIMES {
                player.play(&request)?;
            }
        }
        if pass == 0 {
            player.forget();
        }
    }
    counts.add(&player.counts());
    Ok(through.len())
}

/// Whether a request is the same each time that it is made. One whose token has a signature with chance in it would leave
/// other hints with each build.
fn is_reproducible(request: &Request) -> Result<bool, String> {
    let (one, other) = (request.minted(0)?, request.minted(0)?);
    Ok(one.path == other.path && one.headers == other.headers)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bearing(key: &str) -> Request {
        let token = serde_json::json!({"key": key, "claims": {"sub": "ann"}});
        let request =
            serde_json::json!({"method": "GET", "path": "/", "host": "a.example", "bearer": token});
        serde_json::from_value(request).unwrap()
    }

    #[test]
    fn a_signature_with_chance_in_it_is_never_made_twice() {
        assert!(is_reproducible(&Request::default()).unwrap());
        assert!(is_reproducible(&bearing("rs256")).unwrap());
        assert!(!is_reproducible(&bearing("ps256")).unwrap());
    }
}
