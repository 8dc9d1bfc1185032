//! Whether a filter takes a configuration.

use std::path::Path;

use authz::Authz;
use canary::Canary;
use filter_core::{Filter, Invalid, Metrics};
use ratelimit::RateLimit;
use suite::Suite;
use telemetry::Telemetry;

use crate::document;

/// One of the filters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FilterName {
    Authz,
    Canary,
    Ratelimit,
    Telemetry,
    Suite,
}

impl FilterName {
    /// Every filter.
    pub(crate) const ALL: [Self; 5] =
        [Self::Authz, Self::Canary, Self::Ratelimit, Self::Telemetry, Self::Suite];

    /// The filter of this name.
    pub(crate) fn parse(name: &str) -> Result<Self, String> {
        let known = Self::ALL.into_iter().find(|filter| filter.as_str() == name);
        known.ok_or_else(|| {
            let names = Self::ALL.map(Self::as_str).join(", ");
            format!("unknown filter `{name}`; there are {names}")
        })
    }

    /// The filter's name.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Authz => Authz::NAME,
            Self::Canary => Canary::NAME,
            Self::Ratelimit => RateLimit::NAME,
            Self::Telemetry => Telemetry::NAME,
            Self::Suite => Suite::NAME,
        }
    }
}

/// Configures the filter with the text of a file. Yields how many metric series it would declare, or the line that the
/// module would log.
pub(crate) fn check(filter: FilterName, file: &Path, text: &[u8]) -> Result<usize, String> {
    let checked = document::json(file, text).and_then(|document| match filter {
        FilterName::Authz => series::<Authz>(&document),
        FilterName::Canary => series::<Canary>(&document),
        FilterName::Ratelimit => series::<RateLimit>(&document),
        FilterName::Telemetry => series::<Telemetry>(&document),
        FilterName::Suite => series::<Suite>(&document),
    });
    checked.map_err(|invalid| format!("{}: configuration refused {invalid}", filter.as_str()))
}

fn series<F: Filter>(document: &[u8]) -> Result<usize, Invalid> {
    let mut metrics = Metrics::default();
    F::configure(document, &mut metrics)?;
    Ok(metrics.series())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(filter: FilterName, file: &str, text: &str) -> Result<usize, String> {
        check(filter, Path::new(file), text.as_bytes())
    }

    #[test]
    fn a_valid_configuration_is_told_by_its_series() {
        let json = r#"{"routes":[{"path":"/a/{id}","methods":["GET"]}]}"#;
        let yaml = "# routes\nroutes:\n- path: /a/{id}\n  methods: [GET]\n";
        assert_eq!(checked(FilterName::Telemetry, "a.json", json), Ok(60));
        assert_eq!(checked(FilterName::Telemetry, "a.yaml", yaml), Ok(60));
        assert_eq!(checked(FilterName::Telemetry, "-", yaml), Ok(60));
        assert_eq!(checked(FilterName::Suite, "-", &format!(r#"{{"telemetry":{json}}}"#)), Ok(60));
    }

    #[test]
    fn a_refusal_is_the_line_that_the_module_logs() {
        assert_eq!(
            checked(FilterName::Suite, "a.yml", "telemetry:\n  routes: /a\n"),
            Err("suite: configuration refused at \"/telemetry/routes\": \
                 expected a sequence, found string \"/a\""
                .to_owned())
        );
    }

    #[test]
    fn every_filter_refuses_what_is_no_configuration() {
        for filter in FilterName::ALL {
            for text in ["[]", "{\"nonsense\":1}", "\0", "\"\"", "1"] {
                let refusal = checked(filter, "a.json", text).unwrap_err();
                let start = format!("{}: configuration refused at ", filter.as_str());
                assert!(refusal.starts_with(&start), "{refusal}");
                assert_eq!(refusal.lines().count(), 1, "{refusal}");
            }
        }
    }
}
