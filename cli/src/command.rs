//! What the user asks for.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use filter_core::config::Span;

use crate::check::FilterName;
use crate::options::Options;
use crate::render::{Form, Source};

/// What `--help` prints.
pub(crate) const HELP: &str = "\
Outrigger: authz, canary, ratelimit and telemetry for a stock Envoy.

Usage:
  outrigger check FILTER FILE   compile a plugin's configuration as the filter itself would
  outrigger check canary FILE --running FILE
                                and tell whether anybody would lose the variant that the running one gives them
  outrigger preview-token FILE ROLLOUT VERSION --expires-in DURATION [--subject KEY]
                                make a token that lets its bearer have a version; FILE is a configuration of canary
  outrigger import local-ratelimit FILE
                                make a configuration of ratelimit out of one of Envoy's local_ratelimit
  outrigger render --bootstrap|--istio FILTER FILE [FILTER FILE]...
                                write what a proxy must be told to show the metrics of these plugins: labels, buckets
                                leave a module of ours the callbacks that its filter needs; the build does so
  outrigger package MODULE [--tag NAME:TAG] [-o FOLDER]
                                make an image of a module; print its digest
  outrigger push IMAGE REFERENCE [--plain-http] [--ca-file FILE] [--username NAME --password-stdin]
                                push an image to a registry; print REFERENCE@DIGEST
  outrigger --help, -h          print this
  outrigger --version, -V       print the version

FILTER is one of authz, canary, ratelimit, telemetry, suite.
FILE holds the configuration as JSON, or as YAML if its name ends in .yaml or .yml; `-` is standard input, and may
hold either.
DURATION is like 30m or 8h. KEY is a user's, to whom alone the token is then good.
MODULE is a .wasm file. The image is an OCI image layout in FOLDER, which is MODULE with .oci for .wasm if not given.
IMAGE is such a folder, or a module, which is then packaged on the way.
REFERENCE is REGISTRY/REPOSITORY:TAG. Credentials are $DOCKER_CONFIG/config.json's, else ~/.docker/config.json's.

Exit status: 0 it is valid, or done; 1 what was given is refused; 2 it could not be checked, or not be done.
";

/// One run of the program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Command {
    Help,
    Version,
    Check { filter: FilterName, file: PathBuf, running: Option<PathBuf> },
    PreviewToken(PreviewToken),
    Import { file: PathBuf },
    Render { form: Form, sources: Vec<Source> },
    Package { module: PathBuf, tag: Option<String>, folder: PathBuf },
    Push(Push),
}

/// What to push, where to, and how to get in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Push {
    pub(crate) image: PathBuf,
    pub(crate) reference: String,
    pub(crate) plain_http: bool,
    pub(crate) ca_file: Option<PathBuf>,
    /// Whose password stands on standard input.
    pub(crate) username: Option<String>,
}

/// What a token is to be good for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PreviewToken {
    pub(crate) file: PathBuf,
    pub(crate) rollout: String,
    pub(crate) version: String,
    pub(crate) lasts: Duration,
    pub(crate) subject: Option<String>,
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
            ["package", ..] => Self::package(arguments.into_iter().skip(1)),
            ["push", ..] => Self::push(arguments.into_iter().skip(1)),
            ["render", ..] => Self::render(arguments.into_iter().skip(1)),
            ["check", ..] => Self::check(arguments.into_iter().skip(1)),
            ["preview-token", ..] => Self::preview_token(arguments.into_iter().skip(1)),
            [.., option] | [option, ..] | [_, option, ..]
                if option.starts_with('-') && *option != "-" =>
            {
                Err(format!("unknown option `{option}`"))
            }
            ["import", "local-ratelimit", _] => {
                let file = arguments.into_iter().nth(2).map(PathBuf::from).unwrap_or_default();
                Ok(Self::Import { file })
            }
            ["import", ..] => Err("`import` takes `local-ratelimit` and FILE".to_owned()),
            [other, ..] => Err(format!("unknown command `{other}`")),
        }
    }

    fn check(arguments: impl Iterator<Item = OsString>) -> Result<Self, String> {
        let options = Options::parse(arguments, &["--running"], &[])?;
        let [filter, file] = options.operands.as_slice() else {
            return Err("`check` takes FILTER and FILE".to_owned());
        };
        let filter = FilterName::parse(&filter.to_string_lossy())?;
        let running = options.value("--running").map(PathBuf::from);
        if running.is_some() && filter != FilterName::Canary {
            return Err("`--running` is for canary".to_owned());
        }
        Ok(Self::Check { filter, file: PathBuf::from(file), running })
    }

    fn preview_token(arguments: impl Iterator<Item = OsString>) -> Result<Self, String> {
        let options = Options::parse(arguments, &["--expires-in", "--subject"], &[])?;
        let [file, rollout, version] = options.operands.as_slice() else {
            return Err("`preview-token` takes FILE, ROLLOUT and VERSION".to_owned());
        };
        let Some(lasts) = options.text("--expires-in")? else {
            return Err("`preview-token` takes `--expires-in`".to_owned());
        };
        let lasts = Span::parse(&lasts).filter(|lasts| lasts.0 >= Duration::from_secs(1));
        let lasts = lasts.ok_or("`--expires-in` takes a duration like `30m` or `8h`")?.0;
        Ok(Self::PreviewToken(PreviewToken {
            file: PathBuf::from(file),
            rollout: rollout.to_string_lossy().into_owned(),
            version: version.to_string_lossy().into_owned(),
            lasts,
            subject: options.text("--subject")?,
        }))
    }

    fn package(arguments: impl Iterator<Item = OsString>) -> Result<Self, String> {
        let options = Options::parse(arguments, &["--tag", "-o"], &[])?;
        let [module] = options.operands.as_slice() else {
            return Err("`package` takes MODULE".to_owned());
        };
        let module = PathBuf::from(module);
        let folder = match options.value("-o") {
            Some(folder) => PathBuf::from(folder),
            None => module.with_extension("oci"),
        };
        Ok(Self::Package { module, tag: options.text("--tag")?, folder })
    }

    fn render(arguments: impl Iterator<Item = OsString>) -> Result<Self, String> {
        let options = Options::parse(arguments, &[], &["--bootstrap", "--istio"])?;
        let form = match (options.has("--bootstrap"), options.has("--istio")) {
            (true, false) => Form::Bootstrap,
            (false, true) => Form::Istio,
            (true, true) | (false, false) => {
                return Err("`render` takes one of `--bootstrap` and `--istio`".to_owned());
            }
        };
        let (pairs, rest) = options.operands.as_chunks();
        if pairs.is_empty() || !rest.is_empty() {
            return Err("`render` takes FILTER and FILE, once or more".to_owned());
        }
        let source = |[filter, file]: &[OsString; 2]| {
            let filter = FilterName::parse(&filter.to_string_lossy())?;
            Ok(Source { filter, file: PathBuf::from(file) })
        };
        Ok(Self::Render { form, sources: pairs.iter().map(source).collect::<Result<_, String>>()? })
    }

    fn push(arguments: impl Iterator<Item = OsString>) -> Result<Self, String> {
        let valued = ["--ca-file", "--username"];
        let options = Options::parse(arguments, &valued, &["--plain-http", "--password-stdin"])?;
        let [image, reference] = options.operands.as_slice() else {
            return Err("`push` takes IMAGE and REFERENCE".to_owned());
        };
        if options.has("--username") != options.has("--password-stdin") {
            return Err("`--username` and `--password-stdin` go together".to_owned());
        }
        let plain_http = options.has("--plain-http");
        let ca_file = options.value("--ca-file").map(PathBuf::from);
        if plain_http && ca_file.is_some() {
            return Err("`--ca-file` is for TLS, and `--plain-http` goes without".to_owned());
        }
        let image = PathBuf::from(image);
        let reference = reference.to_string_lossy().into_owned();
        let username = options.text("--username")?;
        Ok(Self::Push(Push { image, reference, plain_http, ca_file, username }))
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
            let file = PathBuf::from("-");
            let expected = Command::Check { filter, file, running: None };
            assert_eq!(parse(&format!("check {} -", filter.as_str())), Ok(expected));
            assert!(HELP.contains(filter.as_str()));
        }
    }

    #[test]
    fn what_is_about_rollouts_is_understood() {
        let (filter, file) = (FilterName::Canary, PathBuf::from("a"));
        let running = Some(PathBuf::from("b"));
        assert_eq!(
            parse("check canary --running b a"),
            Ok(Command::Check { filter, file: file.clone(), running })
        );
        let token = PreviewToken {
            file,
            rollout: "checkout".to_owned(),
            version: "v2".to_owned(),
            lasts: Duration::from_secs(5400),
            subject: Some("ann".to_owned()),
        };
        let line = "preview-token a checkout v2 --expires-in 1h30m --subject ann";
        assert_eq!(parse(line), Ok(Command::PreviewToken(token)));
    }

    #[test]
    fn an_image_lies_beside_its_module_unless_told_otherwise() {
        let package = |tag: Option<&str>, folder: &str| {
            let (module, tag) = (PathBuf::from("dist/authz.wasm"), tag.map(str::to_owned));
            Ok(Command::Package { module, tag, folder: PathBuf::from(folder) })
        };
        assert_eq!(parse("package dist/authz.wasm"), package(None, "dist/authz.oci"));
        assert_eq!(
            parse("package -o images dist/authz.wasm --tag authz:1"),
            package(Some("authz:1"), "images")
        );
    }

    #[test]
    fn a_push_tells_what_where_and_how() {
        let mut push = Push {
            image: PathBuf::from("authz.oci"),
            reference: "a.example/authz:1".to_owned(),
            plain_http: false,
            ca_file: None,
            username: None,
        };
        let line = "push authz.oci a.example/authz:1";
        assert_eq!(parse(line), Ok(Command::Push(push.clone())));
        push.ca_file = Some(PathBuf::from("ca.pem"));
        push.username = Some("ann".to_owned());
        let line = format!("{line} --ca-file ca.pem --username ann --password-stdin");
        assert_eq!(parse(&line), Ok(Command::Push(push)));
    }

    #[test]
    fn what_is_not_understood_is_told() {
        for (line, told) in [
            ("", "no command"),
            ("verify authz -", "unknown command `verify`"),
            ("check authz", "`check` takes FILTER and FILE"),
            ("check authz a b", "`check` takes FILTER and FILE"),
            ("check auth a", "unknown filter `auth`"),
            ("check suite a --running b", "`--running` is for canary"),
            ("check canary a --running", "`--running` takes a value"),
            ("preview-token a b", "`preview-token` takes FILE, ROLLOUT and VERSION"),
            ("preview-token a b c", "`preview-token` takes `--expires-in`"),
            ("preview-token a b c --expires-in 5", "`--expires-in` takes a duration"),
            ("preview-token a b c --expires-in 0s", "`--expires-in` takes a duration"),
            ("--verbose check authz a", "unknown option `--verbose`"),
            ("check --strict authz", "unknown option `--strict`"),
            ("check authz --strict", "unknown option `--strict`"),
            ("package", "`package` takes MODULE"),
            ("package a b", "`package` takes MODULE"),
            ("package a --tag", "`--tag` takes a value"),
            ("package a -o b -o c", "`-o` is given twice"),
            ("package a --plain-http", "unknown option `--plain-http`"),
            ("render telemetry a", "`render` takes one of"),
            ("render --istio --bootstrap telemetry a", "`render` takes one of"),
            ("render --istio telemetry", "`render` takes FILTER and FILE"),
            ("render --istio telemetry a authz", "`render` takes FILTER and FILE"),
            ("render --istio telemetri a", "unknown filter `telemetri`"),
            ("push a", "`push` takes IMAGE and REFERENCE"),
            ("push a b c", "`push` takes IMAGE and REFERENCE"),
            ("push a b --username c", "`--username` and `--password-stdin` go together"),
            ("push a b --password-stdin", "`--username` and `--password-stdin` go together"),
            ("push a b --plain-http --ca-file c", "`--ca-file` is for TLS"),
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
        let file = PathBuf::from(name);
        let expected = Command::Check { filter: FilterName::Suite, file, running: None };
        assert_eq!(Command::parse(arguments), Ok(expected));
    }
}
