//! What the node tells the cluster of itself, and what it learns of the cluster's services: the Node object, its lease,
//! and one hosts file a namespace, in the place of cluster DNS.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::time::Duration;

use anyhow::Result;
use futures::TryStreamExt;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Namespace, Service};
use k8s_openapi::api::{coordination::v1::Lease, core::v1 as core};
use kube::api::{Patch, PatchParams};
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, Client, ResourceExt};
use serde_json::json;
use tokio::time::sleep;

use crate::spec::Node;

/// Registers the node.
pub(crate) async fn register(client: &Client, node: &Node) -> Result<()> {
    let nodes: Api<core::Node> = Api::all(client.clone());
    let force = PatchParams::apply("node").force();
    let object = json!({
        "apiVersion": "v1", "kind": "Node",
        "metadata": { "name": node.name, "labels": { "kubernetes.io/hostname": node.name, "kubernetes.io/os": "linux", "kubernetes.io/arch": std::env::consts::ARCH.replace("x86_64", "amd64").replace("aarch64", "arm64") } },
    });
    nodes.patch(&node.name, &force, &Patch::Apply(object)).await?;
    let now = Timestamp::now();
    let condition = |kind: &str, value: &str| json!({ "type": kind, "status": value, "reason": "Outrigger", "lastHeartbeatTime": now, "lastTransitionTime": now });
    let room = json!({ "cpu": "64", "memory": "64Gi", "pods": "200", "ephemeral-storage": "64Gi" });
    let status = json!({
        "apiVersion": "v1", "kind": "Node",
        "status": {
            "capacity": room, "allocatable": room,
            "addresses": [{ "type": "InternalIP", "address": node.address }, { "type": "Hostname", "address": node.name }],
            "conditions": [condition("Ready", "True"), condition("MemoryPressure", "False"), condition("DiskPressure", "False"), condition("PIDPressure", "False")],
            "daemonEndpoints": { "kubeletEndpoint": { "Port": 10250 } },
            "nodeInfo": {
                "architecture": "", "bootID": "", "containerRuntimeVersion": "netns://1", "kernelVersion": "", "kubeProxyVersion": "",
                "kubeletVersion": "v1.36.3", "machineID": "", "operatingSystem": "linux", "osImage": "network namespaces", "systemUUID": "",
            },
        },
    });
    nodes.patch_status(&node.name, &force, &Patch::Apply(status)).await?;
    Ok(())
}

/// Keeps the node's lease, or the cluster takes it for lost and moves its pods.
pub(crate) async fn keep_lease(client: &Client, node: &Node) {
    let leases: Api<Lease> = Api::namespaced(client.clone(), "kube-node-lease");
    loop {
        let lease = json!({
            "apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": { "name": node.name },
            "spec": { "holderIdentity": node.name, "leaseDurationSeconds": 40, "renewTime": format!("{:.6}", Timestamp::now()) },
        });
        let pause = match leases
            .patch(&node.name, &PatchParams::apply("node").force(), &Patch::Apply(lease))
            .await
        {
            Ok(_) => 10,
            Err(failure) => {
                eprintln!("node: lease: {failure}");
                1
            }
        };
        sleep(Duration::from_secs(pause)).await;
    }
}

/// Writes the hosts files anew whenever services or namespaces change.
pub(crate) async fn keep_hosts(client: &Client, node: &Node) -> Result<()> {
    let (services, namespaces): (Api<Service>, Api<Namespace>) =
        (Api::all(client.clone()), Api::all(client.clone()));
    let changes = futures::stream::select(
        watcher(services.clone(), watcher::Config::default()).default_backoff().map_ok(|_| ()),
        watcher(namespaces.clone(), watcher::Config::default()).default_backoff().map_ok(|_| ()),
    );
    let mut changes = std::pin::pin!(changes);
    loop {
        if let Err(failure) = changes.try_next().await {
            eprintln!("node: services: {failure}");
            continue;
        }
        let services = services.list(&Default::default()).await?.items;
        for namespace in namespaces.list(&Default::default()).await?.items {
            write_hosts(node, &namespace.name_any(), &services)?;
        }
    }
}

/// In place, as the file is mounted in pods.
fn write_hosts(node: &Node, namespace: &str, services: &[Service]) -> Result<()> {
    let mut lines = String::from("127.0.0.1 localhost\n");
    let mut more: BTreeMap<&str, &str> = BTreeMap::new();
    more.extend(node.hosts.iter().map(|(name, address)| (name.as_str(), address.as_str())));
    for (name, address) in more {
        lines.push_str(&format!("{address} {name}\n"));
    }
    for service in services {
        let address = service
            .spec
            .as_ref()
            .and_then(|spec| spec.cluster_ip.as_deref())
            .filter(|ip| *ip != "None");
        let Some(address) = address.filter(|address| !address.is_empty()) else { continue };
        let (name, own) = (service.name_any(), service.namespace().unwrap_or_default());
        let short = if own == namespace { format!(" {name}") } else { String::new() };
        lines.push_str(&format!(
            "{address} {name}.{own}.svc.cluster.local {name}.{own}.svc {name}.{own}{short}\n"
        ));
    }
    let folder = node.state.join("hosts");
    fs::create_dir_all(&folder)?;
    let path = folder.join(namespace);
    if fs::read_to_string(&path).is_ok_and(|now| now == lines) {
        return Ok(());
    }
    Ok(fs::OpenOptions::new()
        .create(true)
        .write(true)
        .truncate(true)
        .open(path)?
        .write_all(lines.as_bytes())?)
}
