//! The format of the corpus: what a filter is given, what it is asked, and what must come of it.
//!
//! A file `filters/FILTER/cases/NAME.yaml` holds either `steps`, requests put one after the other to one
//! `configuration`, or `refused`, configurations that must not load. Two rings of tests read the same files: natively
//! (`filter_core::fixture`) and through a real Envoy (`integration/tests/cases.rs`).

pub mod propagation;
mod signer;
mod token;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::Value;

pub use token::{EVERY_JWKS, JWKS, Proof, Token, sign};

/// One file of the corpus.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CaseFile {
    /// Where the file lies.
    #[serde(skip)]
    pub path: PathBuf,
    /// What the file shows, in a sentence.
    pub about: String,
    /// The plugin's configuration. `${jwks}` in a string stands for [`JWKS`], `${everyJwks}` for [`EVERY_JWKS`].
    #[serde(default)]
    pub configuration: Value,
    /// What is asked, in order, of one proxy that was just started.
    #[serde(default)]
    pub steps: Vec<Step>,
    /// Configurations that must be refused.
    #[serde(default)]
    pub refused: Vec<Refusal>,
}

/// A request, and what must come of it.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Step {
    /// What this step shows, in a sentence.
    pub name: String,
    /// What is sent.
    #[serde(default)]
    pub request: Request,
    /// How often it is sent; each time must come out alike.
    #[serde(default = "once")]
    pub times: u32,
    /// When it is sent, after the file's begin, e.g. `1500ms` or `2s`. Time moves only in native tests: a file that
    /// uses this is not run through Envoy.
    #[serde(default)]
    pub at: Option<String>,
    /// What the proxy's CEL says of expressions, by their text, in native tests; a real Envoy says so itself. What the
    /// filter asks about must be here.
    #[serde(default)]
    pub cel: BTreeMap<String, Said>,
    /// What must come of it.
    pub expect: Expect,
}

/// What the proxy says of an expression: `true`, `false` or `error`.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(untagged)]
pub enum Said {
    /// That it holds, or does not.
    Value(bool),
    /// That it cannot tell.
    Failure(Failure),
}

/// That an expression fails, or yields no boolean.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Failure {
    /// The only one.
    Error,
}

fn once() -> u32 {
    1
}

/// A request as a client sends it.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Request {
    /// `:method`.
    pub method: String,
    /// `:path`, with a query if there is one.
    pub path: String,
    /// `:authority`.
    pub host: String,
    /// Header lines in order, as `[name, value]`; a name may be repeated.
    pub headers: Vec<(String, String)>,
    /// A token to mint for `Authorization: Bearer`.
    pub bearer: Option<Token>,
    /// A proof that goes with `bearer`, which is then sent in the scheme `DPoP`.
    pub dpop: Option<Proof>,
    /// Tokens to mint for other places: `${NAME}` in the path or in a header's value stands for the one of that name.
    pub tokens: BTreeMap<String, Token>,
}

impl Default for Request {
    fn default() -> Self {
        Self {
            method: "GET".to_owned(),
            path: "/".to_owned(),
            host: "demo.example".to_owned(),
            headers: Vec::new(),
            bearer: None,
            dpop: None,
            tokens: BTreeMap::new(),
        }
    }
}

impl Request {
    /// The status that the test upstream answers with: what the header `x-echo-status` asks for, else 200.
    #[must_use]
    pub fn upstream_status(&self) -> u16 {
        let asked = self.headers.iter().find(|(name, _)| name == "x-echo-status");
        asked.and_then(|(_, status)| status.parse().ok()).unwrap_or(200)
    }

    /// The same request with its tokens minted at `now` (seconds since the epoch), as further header lines and in the
    /// place of their names.
    ///
    /// # Errors
    /// When a token names a key that is not there.
    pub fn minted(&self, now: u64) -> Result<Self, String> {
        let mut minted = Self { bearer: None, dpop: None, tokens: BTreeMap::new(), ..self.clone() };
        for (name, token) in &self.tokens {
            let (name, token) = (format!("${{{name}}}"), token.mint(now)?);
            minted.path = minted.path.replace(&name, &token);
            for (_, value) in &mut minted.headers {
                *value = value.replace(&name, &token);
            }
        }
        if let Some(token) = &self.bearer {
            let token = token.mint(now)?;
            let scheme = if self.dpop.is_some() { "DPoP" } else { "Bearer" };
            minted.headers.push(("authorization".to_owned(), format!("{scheme} {token}")));
            if let Some(proof) = &self.dpop {
                let path = self.path.split('?').next().unwrap_or_default();
                let uri = format!("http://{}{path}", self.host);
                let proof = proof.mint(&token, &self.method, &uri, now)?;
                minted.headers.push(("dpop".to_owned(), proof));
            }
        }
        Ok(minted)
    }
}

/// What must come of a request. What is not mentioned is not looked at.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Expect {
    /// The status that the client gets.
    pub status: u16,
    /// The evidence of each filter: what it left in filter state under its own name, `REASON:RULE` or `REASON`.
    pub decisions: BTreeMap<String, String>,
    /// The response-code details, e.g. `authz{denied:admin-only}`.
    pub details: Option<String>,
    /// Headers of the response; null for one that must be absent.
    pub headers: BTreeMap<String, Option<String>>,
    /// Headers as the upstream got them, copies joined by a comma; null for one that must be absent. Mentioning any
    /// means that the request must get there.
    pub upstream: BTreeMap<String, Option<String>>,
    /// The response's body.
    pub body: Option<String>,
    /// Filter state `wasm.NAME`; null for what must be absent.
    pub state: BTreeMap<String, Option<String>>,
}

/// A configuration that must be refused.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Refusal {
    /// What is wrong with it, in a sentence.
    pub name: String,
    /// The configuration, if it is a JSON document.
    #[serde(default)]
    pub configuration: Option<Value>,
    /// The configuration's text, if it is not.
    #[serde(default)]
    pub document: Option<String>,
    /// Whether it is the proxy that refuses an expression in CEL. Natively the configuration must load, and state one at
    /// `pointer`.
    #[serde(default, rename = "byProxy")]
    pub by_proxy: bool,
    /// Where the refusal must point (JSON Pointer).
    pub pointer: String,
    /// What the refusal must say was expected; part of it is enough.
    pub expected: String,
    /// What the refusal must say was found; part of it is enough.
    pub found: String,
}

impl Refusal {
    /// The configuration as bytes.
    ///
    /// # Errors
    /// When the file gives neither or both of `configuration` and `document`.
    pub fn bytes(&self) -> Result<Vec<u8>, String> {
        match (&self.configuration, &self.document) {
            (Some(value), None) => Ok(with_keys(value).to_string().into_bytes()),
            (None, Some(text)) => Ok(text.clone().into_bytes()),
            _ => Err(format!("`{}`: give `configuration` or `document`", self.name)),
        }
    }
}

impl CaseFile {
    /// Reads one file.
    ///
    /// # Errors
    /// When it cannot be read, is not of the format, or asks nothing.
    pub fn read(path: &Path) -> Result<Self, String> {
        let fault = |error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
        let text = std::fs::read_to_string(path).map_err(|error| fault(&error))?;
        let mut file: Self = serde_saphyr::from_str(&text).map_err(|error| fault(&error))?;
        if file.steps.is_empty() == file.refused.is_empty() {
            return Err(fault(&"give `steps` or `refused`"));
        }
        file.path = path.to_owned();
        Ok(file)
    }

    /// Reads every `.yaml` file of a folder, in order of name.
    ///
    /// # Errors
    /// When the folder or a file cannot be read, or there is none.
    pub fn read_all(folder: &Path) -> Result<Vec<Self>, String> {
        let fault = |error: &dyn std::fmt::Display| format!("{}: {error}", folder.display());
        let entries = std::fs::read_dir(folder).map_err(|error| fault(&error))?;
        let mut paths: Vec<PathBuf> = entries
            .map(|entry| entry.map(|entry| entry.path()))
            .collect::<Result<_, _>>()
            .map_err(|error| fault(&error))?;
        paths.retain(|path| path.extension().is_some_and(|extension| extension == "yaml"));
        paths.sort();
        if paths.is_empty() {
            return Err(fault(&"no case file"));
        }
        paths.iter().map(|path| Self::read(path)).collect()
    }

    /// The file's name without its extension.
    #[must_use]
    pub fn name(&self) -> String {
        self.path.file_stem().unwrap_or_default().to_string_lossy().into_owned()
    }

    /// The configuration, with key sets filled in.
    #[must_use]
    pub fn configuration(&self) -> Value {
        with_keys(&self.configuration)
    }

    /// Whether the file moves the clock, which only native tests can.
    #[must_use]
    pub fn moves_time(&self) -> bool {
        self.steps.iter().any(|step| step.at.is_some())
    }
}

fn with_keys(value: &Value) -> Value {
    match value {
        Value::String(text) => {
            Value::String(text.replace("${jwks}", JWKS).replace("${everyJwks}", EVERY_JWKS))
        }
        Value::Array(items) => Value::Array(items.iter().map(with_keys).collect()),
        Value::Object(members) => Value::Object(
            members.iter().map(|(name, value)| (name.clone(), with_keys(value))).collect(),
        ),
        Value::Null | Value::Bool(_) | Value::Number(_) => value.clone(),
    }
}
