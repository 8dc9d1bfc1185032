//! The corpus of cases, played through Envoy.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::time::{SystemTime, UNIX_EPOCH};

use cases::{CaseFile, Expect, Step};
use serde_json::{Value, json};

use crate::upstream::Echo;
use crate::{AccessLog, Client, Line, Request, Response, workspace};

/// The filters, in the order of the chain.
pub const FILTERS: [&str; 4] = ["telemetry", "authz", "ratelimit", "canary"];

/// One file, and whose it is.
#[derive(Clone, Debug)]
pub struct Corpus {
    /// The filter that the file is about; `suite` for all of them.
    pub filter: String,
    /// The file.
    pub file: CaseFile,
}

impl Corpus {
    /// Every file of every filter.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub fn read() -> Result<Vec<Self>, String> {
        let mut all = Vec::new();
        for filter in FILTERS.iter().chain(&["suite"]) {
            let folder = workspace::root().join("filters").join(filter).join("cases");
            let files = CaseFile::read_all(&folder)?;
            all.extend(files.into_iter().map(|file| Self { filter: (*filter).to_owned(), file }));
        }
        Ok(all)
    }

    /// A name for a listener.
    #[must_use]
    pub fn name(&self) -> String {
        format!("{}-{}", self.filter, self.file.name())
    }

    /// The file's configuration as sections of the suite's. A file of one filter is completed by others that decide
    /// nothing; one of the suite's has the sections that it has.
    #[must_use]
    pub fn sections(&self) -> BTreeMap<&'static str, Value> {
        let own = self.file.configuration();
        let section = |filter| match &self.filter {
            suite if suite == "suite" => own.get(filter).cloned(),
            own_filter if own_filter == filter => Some(own.clone()),
            _ => Some(neutral(filter)),
        };
        FILTERS.into_iter().filter_map(|filter| Some((filter, section(filter)?))).collect()
    }

    /// The suite's configuration for this file.
    #[must_use]
    pub fn suite(&self) -> Value {
        json!(self.sections())
    }

    /// Every name of filter state that the file asks for.
    pub fn states(&self) -> impl Iterator<Item = &str> {
        self.file.steps.iter().flat_map(|step| step.expect.state.keys().map(String::as_str))
    }
}

/// A configuration with which a filter lets everything pass. What it is about is told by method: of a path that is
/// ambiguous, a filter cannot say that it is another.
#[must_use]
pub fn neutral(filter: &str) -> Value {
    let nothing = json!({"methods": ["NOBODY-ASKS-LIKE-THIS"]});
    match filter {
        "authz" => json!({"policies": [{"name": "neutral", "rules": [{}]}]}),
        "ratelimit" => json!({"rules": [{
            "name": "neutral",
            "match": nothing,
            "tokenBucket": {"maxTokens": 1, "fillInterval": "60s"},
        }]}),
        "canary" => json!({"rollouts": [{
            "name": "neutral",
            "match": nothing,
            "header": "x-neutral",
            "key": [{"header": "x-neutral-key"}],
            "variants": [{"name": "neutral", "weight": 1}],
        }]}),
        _ => json!({}),
    }
}

/// Plays one step, as often as it says, and tells what came out differently.
pub fn play(client: &mut Client, log: &AccessLog, step: &Step) -> Vec<String> {
    let mut told = Vec::new();
    for time in 1..=step.times {
        let differences = send(client, step).and_then(|response| {
            let line = log.of(&response)?;
            Ok(differences(&step.expect, &response, &line))
        });
        let differences = differences.unwrap_or_else(|error| vec![error]);
        told.extend(differences.iter().map(|told| format!("{} (#{time}): {told}", step.name)));
    }
    told
}

fn send(client: &mut Client, step: &Step) -> Result<Response, String> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_err(|error| error.to_string())?;
    let minted = step.request.minted(now.as_secs())?;
    let mut request = Request::new(&minted.method, &minted.path);
    request.host = minted.host;
    for (name, value) in minted.headers {
        request = request.with(&name, value);
    }
    client.send(&request)
}

fn differences(expect: &Expect, response: &Response, line: &Line) -> Vec<String> {
    let echo = Echo::of(response);
    let mut told = Vec::new();
    let mut compare = |what: &str, expected: &dyn Debug, found: &dyn Debug, same: bool| {
        if !same {
            told.push(format!("{what}: expected {expected:?}, found {found:?}"));
        }
    };
    let details = line.text("details");
    let status = (response.status, &details);
    compare("status", &expect.status, &status, expect.status == response.status);
    if expect.details.is_some() {
        compare("details", &expect.details, &details, expect.details == details);
    }
    if let Some(body) = &expect.body {
        let found = if echo.is_some() { String::new() } else { response.text() };
        compare("body", body, &found, *body == found);
    }
    if !expect.upstream.is_empty() {
        compare("upstream", &"reached", &"not reached", echo.is_some());
    }
    for (filter, evidence) in &expect.decisions {
        let found = line.text(filter);
        let same = found.as_ref() == Some(evidence);
        compare(&format!("decision of {filter}"), evidence, &found, same);
    }
    for (name, value) in &expect.headers {
        let found = response.header(name);
        compare(&format!("response header {name}"), value, &found, *value == found);
    }
    for (name, value) in expect.upstream.iter().filter(|_| echo.is_some()) {
        let found = echo.as_ref().and_then(|echo| echo.header(name));
        compare(&format!("upstream header {name}"), value, &found, *value == found);
    }
    for (name, value) in &expect.state {
        let found = line.text(name);
        compare(&format!("state {name}"), value, &found, *value == found);
    }
    told
}
