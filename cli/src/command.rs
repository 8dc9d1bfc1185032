//! What the user asks for.

use std::ffi::OsString;
use std::path::PathBuf;

use crate::check::FilterName;

/// What `--help` prints.
pub(crate) const HELP: &str = "\
Outrigger: authz, canary, ratelimit and telemetry for a stock Envoy.

Usage:
  outrigger check FILTER FILE   compile a plugin's configuration as the filter itself would
  outrigger --help, -h          print this
  outrigger --version, -V       print the version

FILTER is one of authz, canary, ratelimit, telemetry, suite.
FILE holds the configuration as JSON, or as YAML if its name ends in .yaml or .yml; `-` is standard input, and may
hold either.

Exit status: 0 it is valid, 1 it is refused, 2 it could not be checked.
";

/// One run of the program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Command {
    Help,
    Version,
    Check { filter: FilterName, file: PathBuf },
}

impl Command {
    /// Reads the arguments after the program's own name.
    pub(crate) fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Self, String> {
        let arguments: Vec<OsString> = arguments.into_iter().collect();
        let texts: Vec<&str> =
            arguments.iter().map(|argument| argument.to_str().unwrap_or_default()).collect();
        match texts.as_slice() {
            [] => Err("no command".to_owned()),
            all if all.iter().any(|text| matches!(*text, "--help" | "-h")) => Ok(Self::Help),
            ["--version" | "-V"] => Ok(Self::Version),
            [.., option] | [option, ..] | [_, option, ..]
                if option.starts_with('-') && *option != "-" =>
            {
                Err(format!("unknown option `{option}`"))
            }
            ["check", filter, _] => {
                let filter = FilterName::parse(filter)?;
                let file = arguments.into_iter().nth(2).map(PathBuf::from).unwrap_or_default();
                Ok(Self::Check { filter, file })
            }
            ["check", ..] => Err("`check` takes FILTER and FILE".to_owned()),
            [other, ..] => Err(format!("unknown command `{other}`")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Command, String> {
        Command::parse(line.split_whitespace().map(OsString::from))
    }

    #[test]
    fn every_verb_of_the_help_is_understood() {
        assert_eq!(parse("--help"), Ok(Command::Help));
        assert_eq!(parse("check -h"), Ok(Command::Help));
        assert_eq!(parse("-V"), Ok(Command::Version));
        for filter in FilterName::ALL {
            let expected = Command::Check { filter, file: PathBuf::from("-") };
            assert_eq!(parse(&format!("check {} -", filter.as_str())), Ok(expected));
            assert!(HELP.contains(filter.as_str()));
        }
    }

    #[test]
    fn what_is_not_understood_is_told() {
        for (line, told) in [
            ("", "no command"),
            ("verify authz -", "unknown command `verify`"),
            ("check authz", "`check` takes FILTER and FILE"),
            ("check authz a b", "`check` takes FILTER and FILE"),
            ("check auth a", "unknown filter `auth`"),
            ("--verbose check authz a", "unknown option `--verbose`"),
            ("check --strict authz", "unknown option `--strict`"),
            ("check authz --strict", "unknown option `--strict`"),
        ] {
            let error = parse(line).unwrap_err();
            assert!(error.starts_with(told), "{line}: {error}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn a_file_may_have_any_name() {
        use std::os::unix::ffi::OsStringExt;

        let name = OsString::from_vec(b"a\xff.json".to_vec());
        let arguments = [OsString::from("check"), OsString::from("suite"), name.clone()];
        let expected = Command::Check { filter: FilterName::Suite, file: PathBuf::from(name) };
        assert_eq!(Command::parse(arguments), Ok(expected));
    }
}
