//! What the access log says of one request.

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::{Response, poll};

/// An access log with one JSON object per line, each with a `request_id`.
#[derive(Clone, Debug)]
pub struct AccessLog {
    path: PathBuf,
}

impl AccessLog {
    /// The access log in this file.
    #[must_use]
    pub fn at(path: PathBuf) -> Self {
        Self { path }
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The line about the request that this is the response to, as soon as it is there.
    ///
    /// # Errors
    /// When the response has no `x-request-id`, or no line comes.
    pub fn of(&self, response: &Response) -> Result<Line, String> {
        let id = response.header("x-request-id").ok_or_else(|| {
            format!("no x-request-id in the {} response: {}", response.status, response.text())
        })?;
        poll::until(poll::DEADLINE, &format!("request {id} in {}", self.path.display()), || {
            self.lines().into_iter().find(|line| line.text("request_id").as_deref() == Some(&id))
        })
    }

    /// Every line that is there.
    #[must_use]
    pub fn lines(&self) -> Vec<Line> {
        let text = std::fs::read_to_string(&self.path).unwrap_or_default();
        text.lines().filter_map(|line| serde_json::from_str(line).ok().map(Line)).collect()
    }
}

/// One line: what was asked, what was answered, who decided.
#[derive(Clone, Debug, PartialEq)]
pub struct Line(Value);

impl Line {
    /// A member's text, if it has one.
    #[must_use]
    pub fn text(&self, member: &str) -> Option<String> {
        match self.0.get(member)? {
            Value::Null => None,
            Value::String(text) => Some(text.clone()),
            other => Some(other.to_string()),
        }
    }
}
