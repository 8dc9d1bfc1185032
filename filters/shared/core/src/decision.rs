//! The evidence of a decision: which rule, and why.

use std::fmt;
use std::rc::Rc;

use crate::metrics::{Family, InvalidMetric, LabelValue, Metrics};
use crate::{Count, Series};

/// The name of what decided: a policy, a limit, an experiment. The user gave it.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Rule(Rc<str>);

impl Rule {
    /// The rule that stands for "none of the configured ones".
    pub const NONE: &'static str = "none";

    /// A rule by a name that may stand in metrics, logs and response-code details: 1 to 64 letters, digits and
    /// `-_./`.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_./".contains(&byte);
        ((1..=64).contains(&name.len()) && name.bytes().all(allowed)).then(|| Self(name.into()))
    }

    /// The rule that stands for "none of the configured ones".
    #[must_use]
    pub fn none() -> Self {
        Self(Self::NONE.into())
    }

    /// The part of this rule at `index`, as `NAME:INDEX`.
    #[must_use]
    pub fn part(&self, index: usize) -> Self {
        Self(format!("{}:{index}", self.0).into())
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<'de> serde::Deserialize<'de> for Rule {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        Self::parse(&name).filter(|rule| rule.as_str() != Self::NONE).ok_or_else(|| {
            serde::de::Error::invalid_value(
                serde::de::Unexpected::Str(&name),
                &"a name of 1 to 64 letters, digits and `-_./`, other than `none`",
            )
        })
    }
}

/// One decision of one filter.
#[derive(Clone, Debug, PartialEq)]
pub struct Decision {
    /// The filter that decided.
    pub filter: &'static str,
    /// Why: one of the filter's documented reasons.
    pub reason: &'static str,
    evidence: Rc<str>,
    series: Series,
}

impl Decision {
    /// The response-code details: `FILTER{REASON:RULE}`, or `FILTER{REASON}` when no configured rule decided.
    #[must_use]
    pub fn details(&self) -> String {
        [self.filter, "{", &self.evidence, "}"].concat()
    }

    /// The filter state's value: `REASON:RULE`, or `REASON`; with `=GIVEN` behind it where it says what it gave.
    #[must_use]
    pub fn evidence(&self) -> &str {
        &self.evidence
    }

    /// The same decision, which also says what it gave: `REASON:RULE=GIVEN`.
    #[must_use]
    pub fn giving(self, given: &str) -> Self {
        Self { evidence: [&self.evidence, "=", given].concat().into(), ..self }
    }

    /// The decision as a count: one more in `outrigger_FILTER_decisions_total{rule, reason}`.
    #[must_use]
    pub fn count(&self) -> Count {
        Count::Add(self.series, 1)
    }
}

/// Why a filter decides as it does: a closed list of words, documented on the filter's page.
pub trait Reason: Copy + PartialEq + 'static {
    /// Every reason, each once.
    const ALL: &'static [Self];

    /// The word: lower-case letters and underscores. A promise to users.
    fn as_str(self) -> &'static str;

    /// Whether a configured rule can be what decides so. Where none can, no series is made for it with every rule.
    fn by_rule(self) -> bool {
        true
    }
}

/// All decisions that a filter can take: every rule with every reason, known at load.
#[derive(Clone, Debug)]
pub struct Ledger {
    filter: &'static str,
    rules: Vec<Rule>,
    /// By no rule, for every reason.
    none: Page,
    /// By a rule, for the reasons that rules have.
    by_rule: Option<Page>,
}

/// The decisions of some rules for some reasons: what they are counted in, and by their places in it what they say. Of
/// that, a request takes one; made for it, it would be made for every request.
#[derive(Clone, Debug)]
struct Page {
    family: Family,
    evidence: Vec<Rc<str>>,
}

impl Ledger {
    /// A ledger over these rules and [`Rule::none`], counted in `outrigger_FILTER_decisions_total{rule, reason}`.
    ///
    /// # Errors
    /// When there are too many rules to count.
    pub fn open<R: Reason>(
        filter: &'static str,
        rules: Vec<Rule>,
        metrics: &mut Metrics,
    ) -> Result<Self, InvalidMetric> {
        let name = format!("outrigger_{filter}_decisions_total");
        let mut page = |rules: &[Rule], reasons: Vec<&'static str>| {
            let label = |text: &str| LabelValue::parse(text).ok_or(InvalidMetric::Name);
            let labels = vec![
                ("rule", rules.iter().map(|rule| label(rule.as_str())).collect::<Result<_, _>>()?),
                ("reason", reasons.iter().map(|reason| label(reason)).collect::<Result<_, _>>()?),
            ];
            let family = metrics.counter(&name, labels)?;
            let of = |reason: &'static str| rules.iter().map(move |rule| evidence(reason, rule));
            Ok(Page { family, evidence: reasons.into_iter().flat_map(of).collect() })
        };
        let words = |some: fn(&R) -> bool| {
            R::ALL.iter().filter(move |reason| some(reason)).map(|reason| reason.as_str()).collect()
        };
        let none = page(&[Rule::none()], words(|_| true))?;
        let by_rule = (!rules.is_empty())
            .then(|| page(&rules, words(|reason| reason.by_rule())))
            .transpose()?;
        Ok(Self { filter, rules, none, by_rule })
    }

    /// The decision of the rule at `index` of those the ledger was opened with.
    #[must_use]
    pub fn by<R: Reason>(&self, index: usize, reason: R) -> Decision {
        let page = self.by_rule.as_ref().filter(|_| index < self.rules.len() && reason.by_rule());
        let Some(page) = page else { return self.by_none(reason) };
        let ours = R::ALL.iter().filter(|reason| reason.by_rule());
        self.entry(page, reason, [index, position(ours, reason)])
    }

    /// The decision that no configured rule took.
    #[must_use]
    pub fn by_none<R: Reason>(&self, reason: R) -> Decision {
        self.entry(&self.none, reason, [0, position(R::ALL.iter(), reason)])
    }

    /// The name of the rule at `index`, if the ledger was opened with one.
    #[must_use]
    pub fn rule(&self, index: usize) -> Option<&Rule> {
        self.rules.get(index)
    }

    fn entry<R: Reason>(&self, page: &Page, reason: R, place: [usize; 2]) -> Decision {
        let (filter, reason, series) = (self.filter, reason.as_str(), page.family.series(&place));
        let evidence = usize::try_from(series.index).ok().and_then(|at| page.evidence.get(at));
        Decision {
            filter,
            reason,
            evidence: evidence.map_or_else(|| reason.into(), Rc::clone),
            series,
        }
    }
}

fn evidence(reason: &str, rule: &Rule) -> Rc<str> {
    match rule.as_str() {
        Rule::NONE => reason.into(),
        rule => [reason, ":", rule].concat().into(),
    }
}

/// Where a reason stands among others.
fn position<'a, R: Reason>(mut among: impl Iterator<Item = &'a R>, reason: R) -> usize {
    among.position(|other| *other == reason).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Clone, Copy, Debug, PartialEq)]
    enum Why {
        Chosen,
        Absent,
    }

    impl Reason for Why {
        const ALL: &'static [Self] = &[Self::Absent, Self::Chosen];

        fn as_str(self) -> &'static str {
            match self {
                Self::Chosen => "chosen",
                Self::Absent => "absent",
            }
        }

        fn by_rule(self) -> bool {
            self == Self::Chosen
        }
    }

    #[test]
    fn what_a_decision_says_is_its_reason_and_its_rule() {
        let mut metrics = Metrics::default();
        let rules = ["a", "b"].map(|name| Rule::parse(name).unwrap()).to_vec();
        let ledger = Ledger::open::<Why>("test", rules, &mut metrics).unwrap();
        for (decision, rule, evidence) in [
            (ledger.by(0, Why::Chosen), "a", "chosen:a"),
            (ledger.by(1, Why::Chosen), "b", "chosen:b"),
            (ledger.by(1, Why::Absent), "none", "absent"),
            (ledger.by(2, Why::Chosen), "none", "chosen"),
            (ledger.by_none(Why::Absent), "none", "absent"),
            (ledger.by_none(Why::Chosen), "none", "chosen"),
        ] {
            assert_eq!(decision.evidence(), evidence);
            assert_eq!(decision.details(), format!("test{{{evidence}}}"));
            assert_eq!(decision.clone().giving("v2").evidence(), format!("{evidence}=v2"));
            assert_eq!(decision.count(), Count::Add(decision.series, 1));
            let (_, stat) = metrics.stat(decision.series).unwrap();
            let reason = decision.reason;
            let labels = format!(".rule=.={rule};.;reason=.={reason};.;");
            assert_eq!(stat, format!("outrigger_test_decisions_total{labels}"));
        }
    }
}
