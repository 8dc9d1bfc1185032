//! `envoy.extensions.filters.http.local_ratelimit.v3.LocalRateLimit` as a configuration of ratelimit: a rule for the
//! default bucket, and one for each descriptor that an element of `rate_limits` can make.

use filter_core::Invalid;
use filter_core::config::{self, Object, Span, Whole};
use filter_core::matching::NonEmpty;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::actions::{Entry, RateLimit, Source};
use super::percent::{Percent, share};

const TYPE: &str =
    "type.googleapis.com/envoy.extensions.filters.http.local_ratelimit.v3.LocalRateLimit";

/// Fields that ours has no word for are not listed, and so refused by name.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    #[serde(rename = "@type")]
    kind: Option<String>,
    #[serde(alias = "statPrefix")]
    stat_prefix: String,
    status: Option<Object<Status>>,
    #[serde(alias = "tokenBucket")]
    token_bucket: Option<Object<Bucket>>,
    #[serde(alias = "filterEnabled")]
    filter_enabled: Option<Object<Percent>>,
    #[serde(alias = "filterEnforced")]
    filter_enforced: Option<Object<Percent>>,
    #[serde(default)]
    descriptors: Vec<Object<Descriptor>>,
    #[serde(default, alias = "rateLimits")]
    rate_limits: Vec<Object<RateLimit>>,
    #[serde(alias = "alwaysConsumeDefaultTokenBucket")]
    always_consume_default_token_bucket: Option<bool>,
    #[serde(alias = "enableXRatelimitHeaders")]
    enable_x_ratelimit_headers: Option<String>,
    #[serde(default, alias = "rateLimitedAsResourceExhausted")]
    rate_limited_as_resource_exhausted: bool,
    #[serde(alias = "maxDynamicDescriptors")]
    max_dynamic_descriptors: Option<Whole>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Status {
    code: Whole,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Bucket {
    #[serde(alias = "maxTokens")]
    max_tokens: Whole,
    #[serde(alias = "tokensPerFill")]
    tokens_per_fill: Option<Whole>,
    #[serde(alias = "fillInterval")]
    fill_interval: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Descriptor {
    entries: NonEmpty<Object<Wanted>>,
    #[serde(alias = "tokenBucket")]
    token_bucket: Object<Bucket>,
    #[serde(default, alias = "shadowMode")]
    shadow_mode: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted {
    key: String,
    #[serde(default)]
    value: String,
}

/// Our configuration, and notes on what means something else from now on.
pub(super) fn import(document: &[u8]) -> Result<(Value, Vec<String>), Invalid> {
    let raw: Raw = config::parse(document)?;
    let mut notes = Vec::new();
    if raw.kind.as_deref().is_some_and(|kind| kind != TYPE) {
        return Err(Invalid::at("/@type", format!("`{TYPE}`"), "another"));
    }
    for (pointer, percent) in
        [("/filter_enabled", &raw.filter_enabled), ("/filter_enforced", &raw.filter_enforced)]
    {
        if percent.as_ref().is_some_and(|percent| percent.0.runtime_key.is_some()) {
            notes.push(format!("{pointer}/runtime_key: the default value counts, always"));
        }
    }
    if share("/filter_enabled", raw.filter_enabled)? != 100 {
        return Err(Invalid::at("/filter_enabled", "100 percent", "less: limits of no request"));
    }
    let enforced = share("/filter_enforced", raw.filter_enforced)?;
    if !raw.rate_limited_as_resource_exhausted {
        let text = "gRPC clients are told RESOURCE_EXHAUSTED (8), not UNAVAILABLE (14)";
        notes.push(format!("/rate_limited_as_resource_exhausted: {text}"));
    }
    if raw.max_dynamic_descriptors.is_some() {
        let text = "every rule has room for 32,768 keys, and forgets no debt for want of room";
        notes.push(format!("/max_dynamic_descriptors: {text}"));
    }
    if !raw.descriptors.is_empty() && raw.rate_limits.is_empty() {
        let expected = "`rate_limits` beside `descriptors`, moved here from the routes";
        return Err(Invalid::at("/rate_limits", expected, "none"));
    }
    let default = raw.token_bucket.is_some();
    let always = raw.always_consume_default_token_bucket.unwrap_or(true);
    if default && !always && !raw.descriptors.is_empty() {
        let expected = "true: a rule of ours does not know whether others are about a request";
        return Err(Invalid::at("/always_consume_default_token_bucket", expected, "false"));
    }
    let mode = |rule: &mut Map<String, Value>, shadow: bool| {
        if shadow || enforced == 0 {
            rule.insert("mode".to_owned(), "shadow".into());
        } else if enforced < 100 {
            rule.insert("enforcedPercent".to_owned(), enforced.into());
        }
    };
    let mut limits = Vec::new();
    for (index, Object(limit)) in raw.rate_limits.into_iter().enumerate() {
        let entries = limit.entries();
        limits.push(entries.map_err(|bad| bad.under(&format!("/rate_limits/{index}")))?);
    }
    let prefix = name(&raw.stat_prefix);
    let mut rules = Vec::new();
    for (index, Object(descriptor)) in raw.descriptors.into_iter().enumerate() {
        let pointer = format!("/descriptors/{index}");
        let shadow = descriptor.shadow_mode;
        let made = descriptor.rules(&limits).map_err(|invalid| invalid.under(&pointer))?;
        if made.is_empty() {
            let expected = "entries that one of `rate_limits` makes, in this order";
            return Err(Invalid::at(format!("{pointer}/entries"), expected, "others"));
        }
        let several = made.len() > 1;
        for (which, mut rule) in made.into_iter().enumerate() {
            let suffix = if several { format!("-{which}") } else { String::new() };
            rule.insert("name".to_owned(), format!("{prefix}/{index}{suffix}").into());
            mode(&mut rule, shadow);
            rules.push(Value::Object(rule));
        }
    }
    if rules.len() > 1 || !rules.is_empty() && default {
        let text = "a request that one of several buckets refuses is charged in none of them";
        notes.push(format!("/descriptors: {text}"));
    }
    if let Some(Object(bucket)) = raw.token_bucket {
        let mut rule = Map::from_iter([
            ("name".to_owned(), prefix.into()),
            ("tokenBucket".to_owned(), bucket.import("/token_bucket")?),
        ]);
        mode(&mut rule, false);
        rules.push(Value::Object(rule));
    }
    let mut document = Map::from_iter([("rules".to_owned(), Value::Array(rules))]);
    match raw.enable_x_ratelimit_headers.as_deref() {
        None | Some("OFF") => {}
        Some("DRAFT_VERSION_03") => {
            document.insert("limitHeaders".to_owned(), "xRateLimit".into());
        }
        Some(other) => {
            let expected = "`OFF` or `DRAFT_VERSION_03`";
            return Err(Invalid::at("/enable_x_ratelimit_headers", expected, other));
        }
    }
    // As in Envoy, what is no error becomes 429.
    if let Some(code) = raw.status.map(|status| status.0.code.0).filter(|code| *code >= 400) {
        document.insert("reply".to_owned(), json!({"status": code}));
    }
    Ok((Value::Object(document), notes))
}

/// A name of a rule: what may not stand in one becomes a dash.
fn name(text: &str) -> String {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "-_./".contains(c);
    let name: String = text.chars().take(48).map(|c| if allowed(c) { c } else { '-' }).collect();
    if name.is_empty() || name == "none" { "local".to_owned() } else { name }
}

impl Bucket {
    fn import(self, pointer: &str) -> Result<Value, Invalid> {
        if Span::parse(&self.fill_interval).is_none() {
            let expected = "a duration like \"60s\"";
            return Err(Invalid::at(
                format!("{pointer}/fill_interval"),
                expected,
                self.fill_interval,
            ));
        }
        Ok(json!({
            "maxTokens": self.max_tokens.0,
            "tokensPerFill": self.tokens_per_fill.unwrap_or(Whole(1)).0,
            "fillInterval": self.fill_interval,
        }))
    }
}

impl Descriptor {
    /// A rule for each of `limits` that can make these entries.
    fn rules(self, limits: &[Vec<Entry>]) -> Result<Vec<Map<String, Value>>, Invalid> {
        let wanted: Vec<Wanted> =
            self.entries.into_vec().into_iter().map(|entry| entry.0).collect();
        let bucket = self.token_bucket.0.import("/token_bucket")?;
        let mut rules = Vec::new();
        for entries in limits {
            let same = entries.len() == wanted.len()
                && entries.iter().zip(&wanted).all(|(entry, wanted)| entry.key == wanted.key);
            let Some((when, key)) = same.then(|| matched(entries, &wanted)).transpose()?.flatten()
            else {
                continue;
            };
            let mut rule = Map::from_iter([("tokenBucket".to_owned(), bucket.clone())]);
            if !when.is_empty() {
                rule.insert("when".to_owned(), when.into());
            }
            if !key.is_empty() {
                rule.insert("key".to_owned(), key.into());
                // Envoy makes no descriptor without all of its entries.
                rule.insert("missingKey".to_owned(), "skip".into());
            }
            rules.push(rule);
        }
        Ok(rules)
    }
}

/// Conditions, and parts of a key.
type Matched = (Vec<Value>, Vec<Value>);

/// The conditions and parts of a key that stand for these entries; none if they can never be made.
fn matched(entries: &[Entry], wanted: &[Wanted]) -> Result<Option<Matched>, Invalid> {
    let (mut when, mut key) = (Vec::new(), Vec::new());
    for (index, (entry, wanted)) in entries.iter().zip(wanted).enumerate() {
        let pointer = format!("/entries/{index}/value");
        match &entry.source {
            Source::Constant(value) if wanted.value.is_empty() || *value == wanted.value => {}
            Source::Constant(_) => return Ok(None),
            Source::Part(part, _) if wanted.value.is_empty() => key.push(part.clone()),
            Source::Part(_, Some(condition)) if !wanted.value.contains('*') => {
                when.push(json!({"key": condition, "values": [wanted.value]}));
            }
            Source::Part(_, None) => {
                let expected = "none, since ours has no condition on it";
                return Err(Invalid::at(pointer, expected, wanted.value.clone()));
            }
            Source::Part(_, Some(_)) => {
                let expected = "a value without an asterisk";
                return Err(Invalid::at(pointer, expected, wanted.value.clone()));
            }
        }
    }
    Ok(Some((when, key)))
}

#[cfg(test)]
mod tests;
