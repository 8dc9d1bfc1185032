//! Whether a filter takes a configuration.

use std::fmt;
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

/// What a valid configuration makes of a filter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Checked {
    /// How many metric series it would declare.
    series: usize,
    /// How many conditions in CEL it has: whether those compile, only a proxy can say.
    conditions: usize,
}

impl fmt::Display for Checked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} metric series", self.series)?;
        match self.conditions {
            0 => Ok(()),
            1 => write!(f, "; 1 condition in CEL, which the proxy alone can judge"),
            more => write!(f, "; {more} conditions in CEL, which the proxy alone can judge"),
        }
    }
}

/// Configures the filter with the text of a file. Yields what it is then, or the line that the module would log.
pub(crate) fn check(filter: FilterName, file: &Path, text: &[u8]) -> Result<Checked, String> {
    let checked = document::json(file, text).and_then(|document| match filter {
        FilterName::Authz => configured::<Authz>(&document),
        FilterName::Canary => configured::<Canary>(&document),
        FilterName::Ratelimit => configured::<RateLimit>(&document),
        FilterName::Telemetry => configured::<Telemetry>(&document),
        FilterName::Suite => configured::<Suite>(&document),
    });
    checked.map_err(|invalid| format!("{}: configuration refused {invalid}", filter.as_str()))
}

fn configured<F: Filter>(document: &[u8]) -> Result<Checked, Invalid> {
    let mut metrics = Metrics::default();
    let filter = F::configure(document, &mut metrics)?;
    let (early, late) = (filter.expressions(), filter.late_expressions());
    let later = late.iter().filter(|stated| !early.contains(stated)).count();
    let conditions = early.len().saturating_add(later);
    Ok(Checked { series: metrics.series(), conditions })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(filter: FilterName, file: &str, text: &str) -> Result<String, String> {
        check(filter, Path::new(file), text.as_bytes()).map(|checked| checked.to_string())
    }

    #[test]
    fn a_valid_configuration_is_told_by_its_series() {
        let json = r#"{"routes":[{"path":"/a/{id}","methods":["GET"]}]}"#;
        let yaml = "# routes\nroutes:\n- path: /a/{id}\n  methods: [GET]\n";
        let sixty = Ok("60 metric series".to_owned());
        assert_eq!(checked(FilterName::Telemetry, "a.json", json), sixty);
        assert_eq!(checked(FilterName::Telemetry, "a.yaml", yaml), sixty);
        assert_eq!(checked(FilterName::Telemetry, "-", yaml), sixty);
        let suite = format!(r#"{{"telemetry":{json}}}"#);
        assert_eq!(checked(FilterName::Suite, "-", &suite), sixty);
    }

    #[test]
    fn what_only_the_proxy_can_judge_is_told() {
        let authz = |rules: &str| format!(r#"{{"policies":[{{"name":"a","rules":[{rules}]}}]}}"#);
        for (rules, told) in [
            ("{}", "series"),
            (
                r#"{"condition":"a("}"#,
                "series; 1 condition in CEL, which the proxy alone can judge",
            ),
            (
                r#"{"condition":"a"},{"condition":"b"}"#,
                "series; 2 conditions in CEL, which the proxy alone can judge",
            ),
        ] {
            let checked = checked(FilterName::Authz, "a.json", &authz(rules)).unwrap();
            assert!(checked.ends_with(told), "{checked}");
        }
        let suite = format!(r#"{{"authz":{}}}"#, authz(r#"{"condition":"a"}"#));
        assert!(checked(FilterName::Suite, "a.json", &suite).unwrap().contains("1 condition"));
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
