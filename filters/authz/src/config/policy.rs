//! From a document to policies: Istio's `AuthorizationPolicy`, and what it lacks.

mod alias;
mod condition;
pub(super) mod raw;

use filter_core::config::Object;
use filter_core::matching::{HostPattern, NonEmpty, PathPattern, StringPattern};
use filter_core::{Expression, Invalid, Stated};

pub(super) use self::alias::aliases;
use self::raw::{RawOperation, RawPolicy, RawRule};
use super::Configuration;
use crate::answer::Methods;
use crate::policy::condition::Condition;
use crate::policy::operation::{Field, Operation};
use crate::policy::{Action, Reading, Rule};

/// What policies are compiled with.
#[derive(Clone, Debug, Default)]
pub(super) struct Setting {
    /// How they are read.
    pub(super) reading: Reading,
    /// By what credentials there are to ask about.
    pub(super) methods: Methods,
    /// Whether filter state tells the direct remote address.
    pub(super) direct_remote_ip: bool,
    /// The trust domain of the mesh and its aliases, which name the same workloads; empty for no aliases.
    pub(super) trust_domains: Vec<String>,
}

/// Compiles one policy into a configuration.
///
/// # Errors
/// When it does not say what it must, or asks for what cannot be told.
pub(super) fn add(
    configuration: &mut Configuration,
    raw: RawPolicy,
    setting: &Setting,
    pointer: &str,
) -> Result<(), Invalid> {
    let action = raw.action.0;
    if action != Action::Allow && raw.rules.is_none() {
        let expected = "a field `rules` in a policy that does not allow";
        return Err(Invalid::at(pointer, expected, "none"));
    }
    if raw.dry_run && action == Action::Audit {
        let pointer = format!("{pointer}/dryRun");
        return Err(Invalid::at(pointer, "no dry run of what only takes note", "true"));
    }
    let form = match raw.deny {
        None => None,
        Some(_) if !matches!(action, Action::Deny | Action::Require) => {
            let pointer = format!("{pointer}/deny");
            let expected = "an answer in a policy that denies or requires, or for all policies";
            return Err(Invalid::at(pointer, expected, "one in another"));
        }
        Some(Object(form)) => Some(form.compile(&format!("{pointer}/deny"))?),
    };
    let namespace = raw.namespace.as_deref();
    let mut rules = Vec::new();
    for (index, Object(rule)) in items(raw.rules).enumerate() {
        let pointer = format!("{pointer}/rules/{index}");
        let place = configuration.rules.len();
        let conditional = rule.from.is_some() || rule.when.is_some() || rule.condition.is_some();
        if action == Action::Require && !conditional {
            let expected = "`from`, `when` or `condition` in a rule that requires";
            return Err(Invalid::at(pointer, expected, "none of them"));
        }
        rules.push(compile(rule, place, &Scope { setting, namespace }, &pointer)?);
        configuration.rules.push(raw.name.part(index));
        configuration.forms.push(form.clone());
        let part = raw.name.part(index);
        match (action, raw.dry_run) {
            (Action::Audit, _) => configuration.audited.push((place, part)),
            (_, true) => configuration.dry.push((place, part)),
            (_, false) => {}
        }
    }
    configuration.policies.add(action, raw.dry_run, rules);
    Ok(())
}

/// What a rule is compiled in.
struct Scope<'a> {
    setting: &'a Setting,
    /// The policy's own namespace.
    namespace: Option<&'a str>,
}

fn compile(raw: RawRule, place: usize, scope: &Scope<'_>, pointer: &str) -> Result<Rule, Invalid> {
    let mut to = Vec::new();
    for (index, Object(item)) in items(raw.to).enumerate() {
        let pointer = format!("{pointer}/to/{index}/operation");
        to.push(operation(item.operation.0, scope.setting.reading, &pointer)?);
    }
    let mut from = Vec::new();
    for (index, Object(item)) in items(raw.from).enumerate() {
        let pointer = format!("{pointer}/from/{index}/source");
        from.push(condition::source(item.source.0, scope, &pointer)?);
    }
    let mut when = Vec::new();
    for (index, Object(item)) in items(raw.when).enumerate() {
        when.push(condition::when(item, scope, &format!("{pointer}/when/{index}"))?);
    }
    let scopes = condition::scopes(&when);
    let condition = raw.condition.map(|text| stated(&text, pointer)).transpose()?;
    let mut rule = Rule { place, to, from, when, condition, variables: false, scopes };
    rule.variables = has_variables(&rule, pointer)?;
    Ok(rule)
}

/// The condition of a rule, for the proxy to compile.
fn stated(text: &str, rule: &str) -> Result<Stated, Invalid> {
    let pointer = format!("{rule}/condition");
    match Expression::parse(text) {
        Some(expression) => Ok(Stated { pointer, expression }),
        None => Err(Invalid::at(pointer, "an expression in CEL", format!("{text:?}"))),
    }
}

/// Whether conditions refer to variables of the path, and every path of the rule has those.
fn has_variables(rule: &Rule, pointer: &str) -> Result<bool, Invalid> {
    let mut any = false;
    let texts = rule.conditions().flat_map(Condition::texts);
    for name in texts.filter_map(crate::policy::text::Text::variable) {
        any = true;
        let named = |path: &PathPattern| match path {
            PathPattern::Template(template) => template.names_once(name),
            PathPattern::String(_) | PathPattern::Regex(_) => false,
        };
        let everywhere = |operation: &Operation| {
            operation.paths.values.as_ref().is_some_and(|paths| paths.iter().all(named))
        };
        if rule.to.is_empty() || !rule.to.iter().all(everywhere) {
            let expected = format!("a variable `{{{name}}}` in every path of the rule, once");
            return Err(Invalid::at(pointer, expected, "a condition on it without"));
        }
    }
    Ok(any)
}

fn operation(raw: RawOperation, reading: Reading, pointer: &str) -> Result<Operation, Invalid> {
    let wildcard = "`abc`, `abc*`, `*abc` or `*`";
    let host = "a host, `prefix*`, `*suffix` or `*`";
    let path = "a canonical path like `/a/b`, `/a/*`, `*.html`, `*` or `/a/{*}/b/{**}`";
    let port = "a port, 0 to 65535";
    let operation = Operation {
        hosts: field(pointer, ["hosts", "notHosts"], raw.hosts, raw.not_hosts, |text| {
            match reading {
                Reading::Strict => HostPattern::parse(text),
                Reading::Istio => HostPattern::as_in_istio(text),
            }
            .ok_or(host)
        })?,
        methods: field(pointer, ["methods", "notMethods"], raw.methods, raw.not_methods, |text| {
            pattern(text, reading).ok_or(wildcard)
        })?,
        paths: field(pointer, ["paths", "notPaths"], raw.paths, raw.not_paths, |text| {
            match reading {
                Reading::Strict => PathPattern::parse(text),
                Reading::Istio => PathPattern::as_in_istio(text),
            }
            .ok_or(path)
        })?,
        ports: field(pointer, ["ports", "notPorts"], raw.ports, raw.not_ports, |text| {
            number(text).ok_or(port)
        })?,
    };
    if operation.is_empty() {
        let expected = "at least one of `hosts`, `methods`, `paths`, `ports` and their `not` twins";
        return Err(Invalid::at(pointer, expected, "an empty object"));
    }
    Ok(operation)
}

/// Compiles the items of a field and of its `not` twin, which are called so.
fn field<T>(
    pointer: &str,
    names: [&str; 2],
    values: Option<NonEmpty<String>>,
    not_values: Option<NonEmpty<String>>,
    parse: impl Fn(&str) -> Result<T, &'static str>,
) -> Result<Field<T>, Invalid> {
    let [name, not_name] = names;
    let list = |name: &str, list: Option<NonEmpty<String>>| {
        let Some(list) = list else { return Ok(None) };
        let item = |(index, text): (usize, &String)| {
            parse(text).map_err(|expected| {
                Invalid::at(format!("{pointer}/{name}/{index}"), expected, format!("{text:?}"))
            })
        };
        list.iter().enumerate().map(item).collect::<Result<Vec<T>, Invalid>>().map(Some)
    };
    Ok(Field { values: list(name, values)?, not_values: list(not_name, not_values)? })
}

fn pattern(text: &str, reading: Reading) -> Option<StringPattern> {
    match reading {
        Reading::Strict => StringPattern::parse(text),
        Reading::Istio => StringPattern::as_in_istio(text),
    }
}

fn number(text: &str) -> Option<u16> {
    text.parse().ok().filter(|_| text.bytes().all(|byte| byte.is_ascii_digit()))
}

fn items<T>(list: Option<NonEmpty<T>>) -> impl Iterator<Item = T> {
    list.into_iter().flat_map(NonEmpty::into_vec)
}
