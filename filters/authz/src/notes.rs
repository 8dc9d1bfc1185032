//! What is noted of a request besides the decision: rules of AUDIT policies that match, and what the policies that run
//! dry would have decided.

use filter_core::decision::Reason as _;
use filter_core::metrics::{Family, InvalidMetric, LabelValue};
use filter_core::{Count, Ledger, Metrics, Outcome, Publication, Rule};

use crate::policy::Aside;
use crate::{Reason, decision};

/// The filter state that names the AUDIT rules which match, separated by commas.
const AUDIT: &str = "authz_audit";
/// The filter state that tells what the policies that run dry would have decided.
const DRY_RUN: &str = "authz_dry_run";

/// The series that notes are counted in.
#[derive(Clone, Debug)]
pub(crate) struct Notes {
    audited: Vec<usize>,
    audit: Option<Family>,
    dry: Vec<usize>,
    dry_run: Option<Family>,
}

impl Notes {
    /// Declares the series, for the rules that there are: each by its place and its name.
    pub(crate) fn open(
        audited: Vec<(usize, Rule)>,
        dry: Vec<(usize, Rule)>,
        metrics: &mut Metrics,
    ) -> Result<Self, InvalidMetric> {
        let label = |text: &str| LabelValue::parse(text).ok_or(InvalidMetric::Name);
        let (audited, audit_rules): (Vec<usize>, Vec<Rule>) = audited.into_iter().unzip();
        let (dry, dry_rules): (Vec<usize>, Vec<Rule>) = dry.into_iter().unzip();
        let labels = |rules: &[Rule]| -> Result<Vec<LabelValue>, InvalidMetric> {
            rules.iter().map(|rule| label(rule.as_str())).collect()
        };
        let audit = if audit_rules.is_empty() {
            None
        } else {
            let rules = ("rule", labels(&audit_rules)?);
            Some(metrics.counter("outrigger_authz_audit_total", vec![rules])?)
        };
        let dry_run = if dry_rules.is_empty() {
            None
        } else {
            let mut rules = vec![label(Rule::NONE)?];
            rules.extend(labels(&dry_rules)?);
            let reasons = Reason::ALL.iter().map(|reason| label(reason.as_str()));
            let reasons = reasons.collect::<Result<_, _>>()?;
            let labels = vec![("rule", rules), ("reason", reasons)];
            Some(metrics.counter("outrigger_authz_dry_run_total", labels)?)
        };
        Ok(Self { audited, audit, dry, dry_run })
    }

    /// Counts and publishes what is noted.
    #[inline(never)]
    pub(crate) fn note(&self, aside: &Aside, ledger: &Ledger, outcome: &mut Outcome) {
        if let Some(family) = &self.audit {
            let mut names = Vec::new();
            for place in &aside.noted {
                let position = self.audited.iter().position(|other| other == place);
                outcome.counts.extend(position.map(|at| Count::Add(family.series(&[at]), 1)));
                names.extend(ledger.rule(*place).map(Rule::as_str));
            }
            if !names.is_empty() {
                publish(outcome, AUDIT, &names.join(","));
            }
        }
        if let (Some(family), Some(proposed)) = (&self.dry_run, &aside.proposed) {
            // A rule that is enforced stands for none here: its own series count it.
            let rule =
                proposed.place.and_then(|place| self.dry.iter().position(|dry| *dry == place));
            let rule = rule.map_or(0, |at| at.saturating_add(1));
            let reason = Reason::ALL.iter().position(|reason| *reason == proposed.reason);
            let series = family.series(&[rule, reason.unwrap_or_default()]);
            outcome.counts.push(Count::Add(series, 1));
            publish(outcome, DRY_RUN, decision(ledger, proposed).evidence());
        }
    }
}

fn publish(outcome: &mut Outcome, name: &'static str, value: &str) {
    outcome.publish.push(Publication { name, value: value.into() });
}
