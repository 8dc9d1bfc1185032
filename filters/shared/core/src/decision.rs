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
    /// What decided.
    pub rule: Rule,
    /// Why: one of the filter's documented reasons.
    pub reason: &'static str,
    series: Series,
}

impl Decision {
    /// The response-code details: `FILTER{REASON:RULE}`, or `FILTER{REASON}` when no configured rule decided.
    #[must_use]
    pub fn details(&self) -> String {
        joined([self.filter, "{", &self.evidence(), "}"])
    }

    /// The filter state's value: `REASON:RULE`, or `REASON`.
    #[must_use]
    pub fn evidence(&self) -> String {
        if self.rule.as_str() == Rule::NONE {
            self.reason.to_owned()
        } else {
            joined([self.reason, ":", self.rule.as_str()])
        }
    }

    /// The decision as a count: one more in `outrigger_FILTER_decisions_total{rule, reason}`.
    #[must_use]
    pub fn count(&self) -> Count {
        Count::Add(self.series, 1)
    }
}

/// The parts in a row. It is done for every request, and the machinery of `format!` is long.
fn joined<const N: usize>(parts: [&str; N]) -> String {
    let mut text = String::with_capacity(parts.iter().map(|part| part.len()).sum());
    parts.iter().for_each(|part| text.push_str(part));
    text
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
    none: Family,
    /// By a rule, for the reasons that rules have.
    by_rule: Option<Family>,
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
        let label = |text: &str| LabelValue::parse(text).ok_or(InvalidMetric::Name);
        let reasons = |some: fn(&R) -> bool| {
            let reasons = R::ALL.iter().filter(|reason| some(reason));
            reasons.map(|reason| label(reason.as_str())).collect::<Result<Vec<_>, _>>()
        };
        let names: Vec<LabelValue> =
            rules.iter().map(|rule| label(rule.as_str())).collect::<Result<_, _>>()?;
        let name = format!("outrigger_{filter}_decisions_total");
        let mut family =
            |rules, reasons| metrics.counter(&name, vec![("rule", rules), ("reason", reasons)]);
        let none = family(vec![label(Rule::NONE)?], reasons(|_| true)?)?;
        let by_rule = (!names.is_empty())
            .then(|| family(names, reasons(|reason| reason.by_rule())?))
            .transpose()?;
        Ok(Self { filter, rules, none, by_rule })
    }

    /// The decision of the rule at `index` of those the ledger was opened with.
    #[must_use]
    pub fn by<R: Reason>(&self, index: usize, reason: R) -> Decision {
        let (Some(rule), Some(family), true) =
            (self.rules.get(index), &self.by_rule, reason.by_rule())
        else {
            return self.by_none(reason);
        };
        let ours = R::ALL.iter().filter(|reason| reason.by_rule());
        self.entry(rule.clone(), reason, family.series(&[index, position(ours, reason)]))
    }

    /// The decision that no configured rule took.
    #[must_use]
    pub fn by_none<R: Reason>(&self, reason: R) -> Decision {
        self.entry(Rule::none(), reason, self.none.series(&[0, position(R::ALL.iter(), reason)]))
    }

    /// The name of the rule at `index`, if the ledger was opened with one.
    #[must_use]
    pub fn rule(&self, index: usize) -> Option<&Rule> {
        self.rules.get(index)
    }

    fn entry<R: Reason>(&self, rule: Rule, reason: R, series: Series) -> Decision {
        Decision { filter: self.filter, rule, reason: reason.as_str(), series }
    }
}

/// Where a reason stands among others.
fn position<'a, R: Reason>(mut among: impl Iterator<Item = &'a R>, reason: R) -> usize {
    among.position(|other| *other == reason).unwrap_or_default()
}
