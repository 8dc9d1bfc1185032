//! The fields of a source and the elements of `when`, compiled.

use std::rc::Rc;

use filter_core::matching::{IpBlock, NonEmpty, StringPattern};
use filter_core::{HeaderName, Invalid};

use super::alias::aliases;
use super::raw::{RawCondition, RawSource};
use super::{Scope, field, number, pattern};
use crate::policy::Reading;
use crate::policy::condition::{Claim, Condition, Credential};
use crate::policy::facts::Endpoint;
use crate::policy::operation::Field;
use crate::policy::peer::{Part, PeerPattern};
use crate::policy::principal::PrincipalPattern;
use crate::policy::text::Text;
use crate::token::ClaimPath;

const WILDCARD: &str = "`abc`, `abc*`, `*abc` or `*`";

/// What a field or a key is about.
enum Subject {
    Claim(Credential, ClaimPath),
    RequestPrincipal,
    Client,
    Peer(Part),
    Header(HeaderName),
    Address(Endpoint),
    Port,
    ServerName,
}

/// The values that something is compared with, and where they stand.
struct Values<'a> {
    pointer: &'a str,
    names: [&'a str; 2],
    values: Option<NonEmpty<String>>,
    not_values: Option<NonEmpty<String>>,
}

/// Compiles a source into the conditions of its fields.
pub(super) fn source(
    raw: RawSource,
    scope: &Scope<'_>,
    pointer: &str,
) -> Result<Vec<Condition>, Invalid> {
    let fields = [
        (
            ["principals", "notPrincipals"],
            raw.principals,
            raw.not_principals,
            Subject::Peer(Part::Principal),
        ),
        (
            ["requestPrincipals", "notRequestPrincipals"],
            raw.request_principals,
            raw.not_request_principals,
            Subject::RequestPrincipal,
        ),
        (["clients", "notClients"], raw.clients, raw.not_clients, Subject::Client),
        (
            ["namespaces", "notNamespaces"],
            raw.namespaces,
            raw.not_namespaces,
            Subject::Peer(Part::Namespace),
        ),
        (
            ["serviceAccounts", "notServiceAccounts"],
            raw.service_accounts,
            raw.not_service_accounts,
            Subject::Peer(Part::ServiceAccount),
        ),
        (
            ["trustDomains", "notTrustDomains"],
            raw.trust_domains,
            raw.not_trust_domains,
            Subject::Peer(Part::TrustDomain),
        ),
        (
            ["ipBlocks", "notIpBlocks"],
            raw.ip_blocks,
            raw.not_ip_blocks,
            Subject::Address(Endpoint::Direct),
        ),
        (
            ["remoteIpBlocks", "notRemoteIpBlocks"],
            raw.remote_ip_blocks,
            raw.not_remote_ip_blocks,
            Subject::Address(Endpoint::Remote),
        ),
    ];
    let mut conditions = Vec::new();
    for (names, values, not_values, subject) in fields {
        if values.is_some() || not_values.is_some() {
            let at = if values.is_some() { names[0] } else { names[1] };
            available(&subject, scope, &format!("{pointer}/{at}"))?;
            let values = Values { pointer, names, values, not_values };
            conditions.push(condition(subject, values, false, scope)?);
        }
    }
    if conditions.is_empty() {
        return Err(Invalid::at(pointer, "at least one field of a source", "an empty object"));
    }
    Ok(conditions)
}

/// Compiles an element of `when`.
pub(super) fn when(
    raw: RawCondition,
    scope: &Scope<'_>,
    pointer: &str,
) -> Result<Condition, Invalid> {
    let RawCondition { key, values, not_values, typed } = raw;
    let subject = subject(&key)
        .map_err(|expected| Invalid::at(format!("{pointer}/key"), expected, format!("{key:?}")))?;
    if values.is_none() && not_values.is_none() {
        return Err(Invalid::at(pointer, "`values` or `notValues`", "neither"));
    }
    if typed && !matches!(subject, Subject::Claim(..)) {
        let pointer = format!("{pointer}/typed");
        return Err(Invalid::at(pointer, "a claim to be typed", format!("{key:?}")));
    }
    available(&subject, scope, pointer)?;
    let names = ["values", "notValues"];
    condition(subject, Values { pointer, names, values, not_values }, typed, scope)
}

fn subject(key: &str) -> Result<Subject, &'static str> {
    let plain = match key {
        "request.auth.principal" => Some(Subject::RequestPrincipal),
        "request.auth.audiences" => Some(Subject::Claim(Credential::Token, ClaimPath::top("aud"))),
        "request.auth.presenter" => Some(Subject::Claim(Credential::Token, ClaimPath::top("azp"))),
        "request.auth.apiKey.client" => Some(Subject::Client),
        "source.principal" => Some(Subject::Peer(Part::Principal)),
        "source.namespace" => Some(Subject::Peer(Part::Namespace)),
        "source.serviceAccount" => Some(Subject::Peer(Part::ServiceAccount)),
        "source.trustDomain" => Some(Subject::Peer(Part::TrustDomain)),
        "source.ip" => Some(Subject::Address(Endpoint::Direct)),
        "remote.ip" => Some(Subject::Address(Endpoint::Remote)),
        "destination.ip" => Some(Subject::Address(Endpoint::Destination)),
        "destination.port" => Some(Subject::Port),
        "connection.sni" => Some(Subject::ServerName),
        _ => None,
    };
    let claim = |prefix| key.strip_prefix(prefix).and_then(ClaimPath::in_brackets);
    let claim = || {
        let of_key = || Some((Credential::ApiKey, claim("request.auth.apiKey.claims")?));
        claim("request.auth.claims").map(|path| (Credential::Token, path)).or_else(of_key)
    };
    let header = || {
        let name = key.strip_prefix("request.headers[")?.strip_suffix(']')?;
        HeaderName::parse(name)
    };
    plain
        .or_else(|| claim().map(|(credential, path)| Subject::Claim(credential, path)))
        .or_else(|| header().map(Subject::Header))
        .ok_or_else(|| {
            if key.starts_with("experimental.envoy.filters.") {
                "a key whose type is known; that of metadata is not"
            } else {
                "`request.auth.claims[NAME]`, `request.headers[NAME]`, or another key of Istio's conditions"
            }
        })
}

/// Refuses a condition on what nobody could tell.
fn available(subject: &Subject, scope: &Scope<'_>, pointer: &str) -> Result<(), Invalid> {
    let expected = match subject {
        Subject::Claim(Credential::Token, _) | Subject::RequestPrincipal
            if !scope.setting.methods.tokens() =>
        {
            "`jwtRules` where a rule asks for an identity"
        }
        Subject::Claim(Credential::ApiKey, _) | Subject::Client
            if !scope.setting.methods.api_keys =>
        {
            "`apiKeyAuth` where a rule asks for a client"
        }
        Subject::Address(Endpoint::Direct) if !scope.setting.direct_remote_ip => {
            "`directRemoteIp`, as the proxy tells modules no direct remote address"
        }
        _ => return Ok(()),
    };
    Err(Invalid::at(pointer, expected, "none"))
}

fn condition(
    subject: Subject,
    values: Values<'_>,
    typed: bool,
    scope: &Scope<'_>,
) -> Result<Condition, Invalid> {
    let reading = scope.setting.reading;
    let texts = |values: Values<'_>| values.compile(|value| text(value, reading));
    Ok(match subject {
        Subject::Claim(of, path) => {
            let scope = of == Credential::Token && path.is_scope();
            Condition::Claim(Claim { of, path, typed, scope }, texts(values)?)
        }
        Subject::Client => {
            Condition::Client(values.compile(|text| pattern(text, reading).ok_or(WILDCARD))?)
        }
        Subject::Header(name) => Condition::Header(name, texts(values)?),
        Subject::RequestPrincipal => Condition::Principal(
            values.compile(|text| PrincipalPattern::parse(text, reading).ok_or(WILDCARD))?,
        ),
        Subject::Peer(part) => {
            let values = if part == Part::Principal {
                values.with_aliases(&scope.setting.trust_domains)
            } else {
                values
            };
            let parse = |text: &str| PeerPattern::parse(part, text, scope.namespace, reading);
            Condition::Peer(values.compile(parse)?)
        }
        Subject::Address(endpoint) => Condition::Address(
            endpoint,
            values.compile(|text| IpBlock::parse(text).ok_or("an IP address or a CIDR block"))?,
        ),
        Subject::Port => {
            Condition::Port(values.compile(|text| number(text).ok_or("a port, 0 to 65535"))?)
        }
        Subject::ServerName => {
            Condition::ServerName(values.compile(|text| pattern(text, reading).ok_or(WILDCARD))?)
        }
    })
}

/// A value to compare claims and headers with. Istio knows no references, so that braces stand for themselves.
fn text(text: &str, reading: Reading) -> Result<Text, &'static str> {
    if reading == Reading::Strict && text.contains(['{', '}']) {
        return Text::given(text)
            .ok_or("`{path.NAME}`, `{header.NAME}`, `{query.NAME}`, `{host}` or `{host.N}`");
    }
    pattern(text, reading).map(Text::Pattern).ok_or(WILDCARD)
}

impl Values<'_> {
    fn compile<T>(
        self,
        parse: impl Fn(&str) -> Result<T, &'static str>,
    ) -> Result<Field<T>, Invalid> {
        field(self.pointer, self.names, self.values, self.not_values, parse)
    }

    /// The same, principals of any of the mesh's trust domains standing for those of all.
    fn with_aliases(self, trust_domains: &[String]) -> Self {
        let all = |list: Option<NonEmpty<String>>| {
            list.map(|list| list.flat_map(|text| aliases(&text, trust_domains)))
        };
        Self { values: all(self.values), not_values: all(self.not_values), ..self }
    }
}

/// The scopes that conditions ask for, to be told to a client (RFC 6750 §3); `None` if they are not plain words.
pub(super) fn scopes(when: &[Condition]) -> Option<Rc<str>> {
    let mut words: Vec<&str> = Vec::new();
    for condition in when {
        let Condition::Claim(Claim { scope: true, .. }, field) = condition else { continue };
        for value in field.values.iter().flatten() {
            let Text::Pattern(StringPattern::Exact(word)) = value else { return None };
            // RFC 6749 §3.3.
            let plain = |byte: &u8| matches!(byte, 0x21 | 0x23..=0x5b | 0x5d..=0x7e);
            words.push(std::str::from_utf8(word).ok().filter(|_| word.iter().all(plain))?);
        }
    }
    (!words.is_empty()).then(|| words.join(" ").into())
}
