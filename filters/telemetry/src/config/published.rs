//! What is published beside the route: attributes as attributegen gives them, redactions, worthiness.

use filter_core::config::{Object, Span};
use filter_core::matching::regex::Written;
use filter_core::matching::{NonEmpty, StringPattern};
use filter_core::{Expression, Invalid, Stated};
use serde::Deserialize;

use crate::attribute::{Attribute, Match, When};
use crate::publish::TAKEN;
use crate::redact::{Part, Pattern, Redaction};
use crate::worth::{MILLION, Worth};

/// An attribute in attributegen's own words (istio/proxy, `extensions/attributegen/config.proto`), either spelling of its
/// fields.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct RawAttribute {
    #[serde(alias = "output_attribute")]
    output_attribute: String,
    #[serde(rename = "match")]
    matches: NonEmpty<Object<RawMatch>>,
    /// Taken, and of no effect: a value is given as soon as its conditions can be judged.
    phase: Option<RawPhase>,
}

#[derive(Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
enum RawPhase {
    OnLog,
    OnRequest,
    AfterResponse,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct RawMatch {
    condition: Option<String>,
    value: String,
}

/// The attributes, each name once.
pub(super) fn attributes(
    raw: Option<NonEmpty<Object<RawAttribute>>>,
) -> Result<Vec<Attribute>, Invalid> {
    let mut attributes: Vec<Attribute> = Vec::new();
    let listed = raw.map(NonEmpty::into_vec).unwrap_or_default();
    for (position, Object(raw)) in listed.into_iter().enumerate() {
        let pointer = format!("/attributes/{position}");
        let name = raw.output_attribute;
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte);
        let good = (1..=128).contains(&name.len())
            && name.bytes().all(plain)
            && !TAKEN.contains(&name.as_str())
            && attributes.iter().all(|other| other.name != name);
        if !good {
            let expected =
                "a name of letters, digits and `_.-` that nothing else is published under";
            let pointer = format!("{pointer}/output_attribute");
            return Err(Invalid::at(pointer, expected, format!("`{name}`")));
        }
        // Every phase there is ends in the same value.
        let (None | Some(RawPhase::OnLog | RawPhase::OnRequest | RawPhase::AfterResponse)) =
            raw.phase;
        let mut matches = Vec::new();
        for (place, Object(raw)) in raw.matches.into_vec().into_iter().enumerate() {
            matches.push(raw.compile(&format!("{pointer}/match/{place}"))?);
        }
        let conditions = matches.iter().filter_map(|each| each.condition.as_ref());
        let when = When::of(conditions.map(|stated| &stated.expression));
        let name = Box::leak(name.into_boxed_str());
        attributes.push(Attribute { name, matches, when });
    }
    Ok(attributes)
}

impl RawMatch {
    fn compile(self, pointer: &str) -> Result<Match, Invalid> {
        let condition = self.condition.map(|text| {
            let pointer = format!("{pointer}/condition");
            let expression = Expression::parse(&text).ok_or_else(|| {
                Invalid::at(&pointer, "an expression in CEL, or no field", format!("{text:?}"))
            })?;
            Ok(Stated { pointer, expression })
        });
        if self.value.is_empty() {
            return Err(Invalid::at(format!("{pointer}/value"), "a value", "an empty one"));
        }
        Ok(Match { value: self.value, condition: condition.transpose()? })
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct RawLog {
    slow: Option<Span>,
    sample: Option<f64>,
}

impl RawLog {
    pub(super) fn compile(self) -> Result<Worth, Invalid> {
        let share = self.sample.unwrap_or_default();
        if !(0.0..=1.0).contains(&share) {
            return Err(Invalid::at("/sample", "a share from 0 to 1", share.to_string()));
        }
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "between 0 and a million"
        )]
        let sample = (share * f64::from(MILLION)).round() as u32;
        Ok(Worth { slow: self.slow.map(|span| span.0), sample })
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct RawRedaction {
    publish: NonEmpty<Part>,
    query_parameters: Option<NonEmpty<Written>>,
    values: Option<NonEmpty<Written>>,
}

impl RawRedaction {
    pub(super) fn compile(self) -> Result<Redaction, Invalid> {
        let parameters = patterns(self.query_parameters, "/queryParameters", |written| {
            Some(match written {
                Written::Text(text) => {
                    Pattern::String(StringPattern::parse(&text.to_ascii_lowercase())?)
                }
                Written::Regex(regex) => Pattern::Regex(regex.in_any_case()?),
            })
        })?;
        let values = patterns(self.values, "/values", |written| {
            Some(match written {
                Written::Text(text) => Pattern::String(StringPattern::parse(text)?),
                Written::Regex(regex) => Pattern::Regex(regex.clone()),
            })
        })?;
        Ok(Redaction { parts: self.publish.into_vec(), parameters, values })
    }
}

fn patterns(
    written: Option<NonEmpty<Written>>,
    pointer: &str,
    compile: impl Fn(&Written) -> Option<Pattern>,
) -> Result<Vec<Pattern>, Invalid> {
    let one = |(position, written): (usize, &Written)| {
        compile(written).ok_or_else(|| {
            let (expected, found) = match written {
                Written::Text(text) => ("`abc`, `abc*`, `*abc` or `*`", format!("`{text}`")),
                Written::Regex(_) => ("a smaller regular expression", "a large one".to_owned()),
            };
            Invalid::at(format!("{pointer}/{position}"), expected, found)
        })
    };
    written.iter().flat_map(NonEmpty::iter).enumerate().map(one).collect()
}
