//! Decides what a container's environment and command are: literal values, fields of the pod, limits, `$(NAME)`
//! references, and the API server's address, as a kubelet gives them.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Container, Pod};
use kube::ResourceExt;

use crate::spec::{Image, Node};

/// A container's whole environment. Values from ConfigMaps and Secrets are not supported.
pub(crate) fn of(node: &Node, pod: &Pod, container: &Container) -> BTreeMap<String, String> {
    let (host, port) = &node.api_server;
    let mut environment = BTreeMap::from([
        (
            "PATH".to_owned(),
            "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin".to_owned(),
        ),
        ("HOME".to_owned(), "/".to_owned()),
        ("HOSTNAME".to_owned(), pod.name_any()),
        ("KUBERNETES_SERVICE_HOST".to_owned(), host.clone()),
        ("KUBERNETES_SERVICE_PORT".to_owned(), port.to_string()),
    ]);
    for variable in container.env.iter().flatten() {
        let value = match (&variable.value, &variable.value_from) {
            (Some(value), _) => expand(value, &environment),
            (None, Some(source)) => match (&source.field_ref, &source.resource_field_ref) {
                (Some(from), _) => field(pod, &from.field_path),
                (None, Some(from)) => limit(container, &from.resource),
                (None, None) => String::new(),
            },
            (None, None) => String::new(),
        };
        environment.insert(variable.name.clone(), value);
    }
    environment
}

/// What a container runs.
pub(crate) fn command(
    image: &Image,
    container: &Container,
    environment: &BTreeMap<String, String>,
) -> Vec<String> {
    let entrypoint = container.command.as_ref().unwrap_or(&image.entrypoint);
    let arguments = container.args.iter().flatten();
    entrypoint.iter().chain(arguments).map(|word| expand(word, environment)).collect()
}

/// The service account that a pod runs as.
pub(crate) fn account(pod: &Pod) -> String {
    let named = pod.spec.as_ref().and_then(|spec| spec.service_account_name.clone());
    named.unwrap_or_else(|| "default".to_owned())
}

/// A field of the pod by its path.
pub(crate) fn field(pod: &Pod, path: &str) -> String {
    let status = pod.status.as_ref();
    match path {
        "metadata.name" => pod.name_any(),
        "metadata.namespace" => pod.namespace().unwrap_or_default(),
        "metadata.uid" => pod.uid().unwrap_or_default(),
        "metadata.labels" => listed(pod.labels()),
        "metadata.annotations" => listed(pod.annotations()),
        "spec.nodeName" => {
            pod.spec.as_ref().and_then(|spec| spec.node_name.clone()).unwrap_or_default()
        }
        "spec.serviceAccountName" => account(pod),
        "status.podIP" | "status.podIPs" => {
            status.and_then(|status| status.pod_ip.clone()).unwrap_or_default()
        }
        "status.hostIP" => status.and_then(|status| status.host_ip.clone()).unwrap_or_default(),
        _ => {
            let key =
                path.strip_prefix("metadata.labels['").and_then(|rest| rest.strip_suffix("']"));
            let other = path
                .strip_prefix("metadata.annotations['")
                .and_then(|rest| rest.strip_suffix("']"));
            let label = key.and_then(|key| pod.labels().get(key));
            label
                .or_else(|| other.and_then(|key| pod.annotations().get(key)))
                .cloned()
                .unwrap_or_default()
        }
    }
}

fn listed(map: &BTreeMap<String, String>) -> String {
    map.iter().map(|(key, value)| format!("{key}={value:?}\n")).collect()
}

/// A limit in whole cores or bytes, or what the node has.
fn limit(container: &Container, resource: &str) -> String {
    let (kind, name) = resource.split_once('.').unwrap_or(("limits", resource));
    let resources = container.resources.as_ref();
    let list = if kind == "requests" {
        resources.and_then(|r| r.requests.as_ref())
    } else {
        resources.and_then(|r| r.limits.as_ref())
    };
    let value = list.and_then(|list| list.get(name)).and_then(|quantity| whole(&quantity.0));
    value.unwrap_or(if name == "cpu" { 2 } else { 4 << 30 }).to_string()
}

/// A quantity, rounded up to a whole number.
pub(crate) fn whole(quantity: &str) -> Option<u64> {
    let digits = quantity.find(|c: char| !c.is_ascii_digit()).unwrap_or(quantity.len());
    let (number, unit) = quantity.split_at_checked(digits)?;
    let number: u64 = number.parse().ok()?;
    Some(match unit {
        "" => number,
        "m" => number.div_ceil(1000),
        "k" => number.saturating_mul(1000),
        "M" => number.saturating_mul(1_000_000),
        "G" => number.saturating_mul(1_000_000_000),
        "Ki" => number.saturating_mul(1 << 10),
        "Mi" => number.saturating_mul(1 << 20),
        "Gi" => number.saturating_mul(1 << 30),
        _ => return None,
    })
}

/// `$(NAME)` by what is known so far, `$$` as `$`; what is not known stays as it is.
pub(crate) fn expand(text: &str, known: &BTreeMap<String, String>) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('$') {
        out.push_str(before);
        if let Some(after) = after.strip_prefix('$') {
            out.push('$');
            rest = after;
            continue;
        }
        let name = after.strip_prefix('(').and_then(|inner| inner.split_once(')'));
        match name.and_then(|(name, tail)| known.get(name).map(|value| (value, tail))) {
            Some((value, tail)) => {
                out.push_str(value);
                rest = tail;
            }
            None => {
                out.push('$');
                rest = after;
            }
        }
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_are_expanded_and_unknown_ones_stay() {
        let known = BTreeMap::from([("NS".to_owned(), "demo".to_owned())]);
        assert_eq!(expand("$(NS).svc $(NO) $$(NS) 5$", &known), "demo.svc $(NO) $(NS) 5$");
    }

    #[test]
    fn quantities_are_rounded_up() {
        assert_eq!(
            ["2", "1500m", "1Gi", "1e3"].map(whole),
            [Some(2), Some(2), Some(1 << 30), None]
        );
    }
}
