//! The conformance suite of W3C Trace Context, natively.

use std::path::Path;

use cases::propagation::PropagationSuite;

use crate::Subject;

#[track_caller]
fn failures(subject: &Subject) -> Vec<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("cases/w3c/trace-context.yaml");
    let suite = PropagationSuite::read(&path).unwrap();
    assert_eq!(suite.cases.len(), 41);
    suite.failures(|lines| {
        let lines: Vec<(&str, &str)> =
            lines.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        Ok(subject.sends(&lines))
    })
}

/// The cases among these failures.
fn cases(failures: &[String]) -> std::collections::BTreeSet<&str> {
    failures.iter().filter_map(|failure| failure.split(':').next()).collect()
}

#[test]
fn all_of_it_passes_in_sanitise_mode() {
    let failures = failures(&Subject::new(r#"{"mode":"sanitise"}"#));
    assert!(failures.is_empty(), "{failures:#?}");
}

#[test]
fn all_of_it_passes_in_originate_mode() {
    for percentage in [0, 100] {
        let failures = failures(&Subject::new(&format!(
            r#"{{"mode":"originate","randomSamplingPercentage":{percentage}}}"#
        )));
        assert!(failures.is_empty(), "{failures:#?}");
    }
}

#[test]
fn what_changes_nothing_passes_ten_of_it() {
    for document in ["{}", r#"{"traceContext":{"mode":"pass"}}"#] {
        let failures = failures(&Subject::of(document));
        assert_eq!(cases(&failures).len(), 41 - 10, "{failures:#?}");
    }
}
