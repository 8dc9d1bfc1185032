//! From a document to issuers and policies, or a refusal.

mod issuer;
mod raw;
mod text;

use filter_core::config::{Object, parse};
use filter_core::{Invalid, Rule as RuleName};

use crate::policy::{Attribute, Condition, Policies, Rule};
use crate::token::Issuers;
use raw::{Action, Raw, RawCondition, RawFrom, RawPolicy, RawRule, objects};

/// A compiled configuration.
#[derive(Debug, Default)]
pub(crate) struct Configuration {
    /// Whose tokens are believed.
    pub(crate) issuers: Issuers,
    /// Who may do what.
    pub(crate) policies: Policies,
    /// The rules of all policies, in the order of their places.
    pub(crate) rules: Vec<RuleName>,
}

/// Compiles a document.
///
/// # Errors
/// When anything in it does not say what it must.
pub(crate) fn compile(document: &[u8]) -> Result<Configuration, Invalid> {
    let raw: Raw = parse(document)?;
    if raw.jwt_rules.is_none() && raw.policies.is_none() {
        return Err(Invalid::at("", "`jwtRules` or `policies`", "neither"));
    }
    let issuers = issuer::issuers(raw.jwt_rules, raw.jwt_cache_config)?;
    let mut configuration = Configuration { issuers, ..Configuration::default() };
    let mut names: Vec<RuleName> = Vec::new();
    for (index, policy) in objects(raw.policies).enumerate() {
        let pointer = format!("/policies/{index}");
        if names.contains(&policy.name) {
            let found = format!("{:?} for a second time", policy.name);
            return Err(Invalid::at(pointer + "/name", "a name for one policy", found));
        }
        names.push(policy.name.clone());
        configuration.add_policy(policy, &pointer)?;
    }
    Ok(configuration)
}

impl Configuration {
    fn add_policy(&mut self, raw: RawPolicy, pointer: &str) -> Result<(), Invalid> {
        if raw.action == Action::Deny && raw.rules.is_none() {
            return Err(Invalid::at(pointer, "a field `rules` in a policy that denies", "none"));
        }
        let mut rules = Vec::new();
        for (index, rule) in objects(raw.rules).enumerate() {
            let rule = self.rule(rule, &format!("{pointer}/rules/{index}"))?;
            self.rules.push(raw.name.part(index));
            rules.push(rule);
        }
        match raw.action {
            Action::Deny => self.policies.deny.extend(rules),
            Action::Allow => self.policies.allow.get_or_insert_default().extend(rules),
        }
        Ok(())
    }

    fn rule(&self, raw: RawRule, pointer: &str) -> Result<Rule, Invalid> {
        let mut from = Vec::new();
        for (index, RawFrom { source: Object(source) }) in objects(raw.from).enumerate() {
            let condition = Condition {
                attribute: Attribute::Principal,
                values: source.request_principals,
                not_values: source.not_request_principals,
            };
            let fields = "`requestPrincipals` or `notRequestPrincipals`";
            from.push(self.condition(
                condition,
                fields,
                &format!("{pointer}/from/{index}/source"),
            )?);
        }
        let mut when = Vec::new();
        for (index, raw) in objects(raw.when).enumerate() {
            let RawCondition { key, values, not_values } = raw;
            let condition = Condition { attribute: key.0, values, not_values };
            let fields = "`values` or `notValues`";
            when.push(self.condition(condition, fields, &format!("{pointer}/when/{index}"))?);
        }
        let to = objects(raw.to).map(|to| to.operation.0).collect();
        Ok(Rule { place: self.rules.len(), to, from, when })
    }

    /// Refuses a condition that compares with nothing, or that nobody could meet.
    fn condition(
        &self,
        condition: Condition,
        fields: &str,
        pointer: &str,
    ) -> Result<Condition, Invalid> {
        if condition.values.is_none() && condition.not_values.is_none() {
            return Err(Invalid::at(pointer, fields, "neither"));
        }
        if self.issuers.is_empty() {
            let expected = "`jwtRules` where a rule asks for an identity";
            return Err(Invalid::at(pointer, expected, "none"));
        }
        Ok(condition)
    }
}
