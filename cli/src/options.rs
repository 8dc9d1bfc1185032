//! The options of a verb, apart from what it is done to.

use std::ffi::{OsStr, OsString};

/// What a verb was given.
#[derive(Debug)]
pub(crate) struct Options {
    given: Vec<(&'static str, Option<OsString>)>,
    /// What is no option, in order.
    pub(crate) operands: Vec<OsString>,
}

impl Options {
    /// Tells options from operands. Those of `valued` take the argument that follows them, those of `flags` none.
    pub(crate) fn parse(
        arguments: impl IntoIterator<Item = OsString>,
        valued: &[&'static str],
        flags: &[&'static str],
    ) -> Result<Self, String> {
        let mut arguments = arguments.into_iter();
        let mut options = Self { given: Vec::new(), operands: Vec::new() };
        while let Some(argument) = arguments.next() {
            let text = argument.to_str().unwrap_or_default();
            let known = |names: &[&'static str]| names.iter().copied().find(|name| *name == text);
            let (name, value) = if let Some(name) = known(valued) {
                let value = arguments.next().ok_or_else(|| format!("`{name}` takes a value"))?;
                (name, Some(value))
            } else if let Some(name) = known(flags) {
                (name, None)
            } else if text.starts_with('-') && text != "-" {
                return Err(format!("unknown option `{text}`"));
            } else {
                options.operands.push(argument);
                continue;
            };
            if options.has(name) {
                return Err(format!("`{name}` is given twice"));
            }
            options.given.push((name, value));
        }
        Ok(options)
    }

    /// Whether the option is given.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.given.iter().any(|(given, _)| *given == name)
    }

    /// The value of an option.
    pub(crate) fn value(&self, name: &str) -> Option<&OsStr> {
        let given = self.given.iter().find(|(given, _)| *given == name);
        given.and_then(|(_, value)| value.as_deref())
    }

    /// The value of an option that is not the name of a file.
    pub(crate) fn text(&self, name: &str) -> Result<Option<String>, String> {
        let text = |value: &OsStr| value.to_str().map(str::to_owned);
        let found = self.value(name).map(|value| text(value).ok_or(value));
        found.transpose().map_err(|value| format!("`{name}` takes text, found {value:?}"))
    }
}
