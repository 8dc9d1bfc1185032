//! From a document to issuers and policies, or a refusal.

mod api_key;
mod issuer;
mod policy;
mod raw;
mod text;

use filter_core::config::{Object, parse};
use filter_core::matching::NonEmpty;
use filter_core::{HeaderName, Invalid, Rule as RuleName};

use crate::answer::{Form, Methods};
use crate::api_key::ApiKeys;
use crate::policy::{Policies, Reading, Xfcc};
use crate::token::Issuers;
use policy::Setting;
use raw::{Compat, Raw, objects};
use text::Name;

/// A compiled configuration.
#[derive(Debug, Default)]
pub(crate) struct Configuration {
    /// Whose tokens are believed.
    pub(crate) issuers: Issuers,
    /// Whose API keys are known.
    pub(crate) api_keys: ApiKeys,
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

impl Configuration {
    /// By what credentials it can be proven who asks.
    pub(crate) fn methods(&self) -> Methods {
        Methods {
            bearers: self.issuers.take_bearers(),
            proofs: self.issuers.take_proofs(),
            api_keys: !self.api_keys.is_empty(),
        }
    }
}

/// Compiles a document.
///
/// # Errors
/// When anything in it does not say what it must.
pub(crate) fn compile(document: &[u8]) -> Result<Configuration, Invalid> {
    let raw: Raw = parse(document)?;
    if raw.jwt_rules.is_none() && raw.api_key_auth.is_none() && raw.policies.is_none() {
        return Err(Invalid::at("", "`jwtRules`, `apiKeyAuth` or `policies`", "none of them"));
    }
    let reading = match raw.compat {
        None => Reading::Strict,
        Some(Compat::Istio) => Reading::Istio,
    };
    let issuers = issuer::issuers(raw.jwt_rules, raw.jwt_cache_config)?;
    let mut configuration =
        Configuration { issuers, policies: Policies::new(reading), ..Configuration::default() };
    if let Some(raw) = raw.api_key_auth {
        configuration.api_keys = api_key::compile(raw.0, &configuration.issuers, "/apiKeyAuth")?;
    }
    if let Some(form) = raw.deny {
        configuration.form = form.0.compile("/deny")?;
    }
    configuration.debug_header = raw.debug_header.map(|header| header.0);
    let trust_domains = trust_domains(raw.trust_domain, raw.trust_domain_aliases);
    if let Some(Object(xfcc)) = raw.xfcc {
        if raw.policies.is_none() {
            return Err(Invalid::at("/xfcc", "`policies` beside it", "none"));
        }
        let trusted = xfcc.trusted_principals.into_vec();
        let trusted = trusted.iter().flat_map(|name| policy::aliases(&name.0, &trust_domains));
        configuration.policies.believe(Xfcc::new(trusted));
    }
    let setting = Setting {
        reading,
        methods: configuration.methods(),
        direct_remote_ip: raw.direct_remote_ip.is_some(),
        trust_domains,
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
