//! The shape of policies in the document. Texts are compiled later, as what they mean hangs on other fields.

use filter_core::Rule as RuleName;
use filter_core::config::Object;
use filter_core::matching::NonEmpty;
use serde::de::{Error as _, Unexpected};
use serde::{Deserialize, Deserializer};

use crate::answer::RawForm;
use crate::policy::Action;

type Texts = Option<NonEmpty<String>>;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(in crate::config) struct RawPolicy {
    pub(in crate::config) name: RuleName,
    pub(super) namespace: Option<String>,
    #[serde(default)]
    pub(super) action: RawAction,
    #[serde(default)]
    pub(super) dry_run: bool,
    pub(super) rules: Option<NonEmpty<Object<RawRule>>>,
    pub(super) deny: Option<Object<RawForm>>,
}

#[derive(Clone, Copy, Debug, Default)]
pub(in crate::config) struct RawAction(pub(super) Action);

impl<'de> Deserialize<'de> for RawAction {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let word = String::deserialize(deserializer)?;
        match word.as_str() {
            "ALLOW" => Ok(Self(Action::Allow)),
            "DENY" => Ok(Self(Action::Deny)),
            "AUDIT" => Ok(Self(Action::Audit)),
            "REQUIRE" => Ok(Self(Action::Require)),
            "CUSTOM" => Err(D::Error::invalid_value(
                Unexpected::Str("CUSTOM"),
                &"a decision of this filter (`ALLOW`, `DENY`, `AUDIT` or `REQUIRE`); let Envoy's `ext_authz` ask others",
            )),
            other => Err(D::Error::invalid_value(
                Unexpected::Str(other),
                &"`ALLOW`, `DENY`, `AUDIT` or `REQUIRE`",
            )),
        }
    }
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(in crate::config) struct RawRule {
    pub(super) from: Option<NonEmpty<Object<RawFrom>>>,
    pub(super) to: Option<NonEmpty<Object<RawTo>>>,
    pub(super) when: Option<NonEmpty<Object<RawCondition>>>,
    pub(super) condition: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct RawFrom {
    pub(super) source: Object<RawSource>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct RawSource {
    pub(super) principals: Texts,
    pub(super) not_principals: Texts,
    pub(super) request_principals: Texts,
    pub(super) not_request_principals: Texts,
    pub(super) clients: Texts,
    pub(super) not_clients: Texts,
    pub(super) namespaces: Texts,
    pub(super) not_namespaces: Texts,
    pub(super) service_accounts: Texts,
    pub(super) not_service_accounts: Texts,
    pub(super) trust_domains: Texts,
    pub(super) not_trust_domains: Texts,
    pub(super) ip_blocks: Texts,
    pub(super) not_ip_blocks: Texts,
    pub(super) remote_ip_blocks: Texts,
    pub(super) not_remote_ip_blocks: Texts,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct RawTo {
    pub(super) operation: Object<RawOperation>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct RawOperation {
    pub(super) hosts: Texts,
    pub(super) not_hosts: Texts,
    pub(super) methods: Texts,
    pub(super) not_methods: Texts,
    pub(super) paths: Texts,
    pub(super) not_paths: Texts,
    pub(super) ports: Texts,
    pub(super) not_ports: Texts,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct RawCondition {
    pub(super) key: String,
    pub(super) values: Texts,
    pub(super) not_values: Texts,
    #[serde(default)]
    pub(super) typed: bool,
}
