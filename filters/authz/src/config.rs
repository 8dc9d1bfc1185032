//! From a document to issuers and policies, or a refusal.

mod issuer;
mod policy;
mod raw;
mod text;

use filter_core::config::parse;
use filter_core::matching::NonEmpty;
use filter_core::{HeaderName, Invalid, Rule as RuleName};

use crate::answer::Form;
use crate::policy::{Policies, Reading};
use crate::token::Issuers;
use policy::Setting;
use raw::{Compat, Raw, objects};
use text::Name;

/// A compiled configuration.
#[derive(Debug, Default)]
pub(crate) struct Configuration {
    /// Whose tokens are believed.
    pub(crate) issuers: Issuers,
    /// Who may do what.
    pub(crate) policies: Policies,
    /// The rules of all policies, in the order of their places.
    pub(crate) rules: Vec<RuleName>,
    /// How each of them words a refusal, if not as all do.
    pub(crate) forms: Vec<Option<Form>>,
    /// The places and names of the rules of AUDIT policies.
    pub(crate) audited: Vec<(usize, RuleName)>,
    /// The places and names of the rules of policies that run dry.
    pub(crate) dry: Vec<(usize, RuleName)>,
    /// How refusals are worded.
    pub(crate) form: Form,
    /// The header in which refusals are explained, if they are.
    pub(crate) debug_header: Option<HeaderName>,
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
    let reading = match raw.compat {
        None => Reading::Strict,
        Some(Compat::Istio) => Reading::Istio,
    };
    let issuers = issuer::issuers(raw.jwt_rules, raw.jwt_cache_config)?;
    let mut configuration =
        Configuration { issuers, policies: Policies::new(reading), ..Configuration::default() };
    if let Some(form) = raw.deny {
        configuration.form = form.0.compile("/deny")?;
    }
    configuration.debug_header = raw.debug_header.map(|header| header.0);
    let setting = Setting {
        reading,
        tokens: !configuration.issuers.is_empty(),
        direct_remote_ip: raw.direct_remote_ip.is_some(),
        trust_domains: trust_domains(raw.trust_domain, raw.trust_domain_aliases),
    };
    let mut names: Vec<RuleName> = Vec::new();
    for (index, policy) in objects(raw.policies).enumerate() {
        let pointer = format!("/policies/{index}");
        if names.contains(&policy.name) {
            let found = format!("{:?} for a second time", policy.name);
            return Err(Invalid::at(pointer + "/name", "a name for one policy", found));
        }
        names.push(policy.name.clone());
        policy::add(&mut configuration, policy, &setting, &pointer)?;
    }
    configuration.policies.seal();
    Ok(configuration)
}

/// The mesh's trust domain, Istio's default if none is given, and then its aliases; empty if there are none.
fn trust_domains(own: Option<Name>, aliases: Option<NonEmpty<Name>>) -> Vec<String> {
    if own.is_none() && aliases.is_none() {
        return Vec::new();
    }
    let own = own.map_or_else(|| "cluster.local".to_owned(), |name| name.0);
    let aliases = aliases.into_iter().flat_map(NonEmpty::into_vec).map(|name| name.0);
    std::iter::once(own).chain(aliases).collect()
}
