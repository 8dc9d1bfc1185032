//! A pod's life, as a kubelet leads it: network, volumes, containers, status at each change, and the end.

use std::fs;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use k8s_openapi::api::core::v1::{Pod, PodStatus};
use kube::api::{DeleteParams, Patch, PatchParams, Preconditions};
use kube::{Api, Client, ResourceExt};
use serde_json::json;
use tokio::sync::watch;
use tokio::time::sleep;

use crate::containers::Containers;
use crate::network::{Addresses, Network};
use crate::process::Launcher;
use crate::spec::Node;
use crate::state::{self, Board, until};
use crate::volumes::Volumes;

/// What every pod needs of the node.
#[derive(Clone)]
pub(crate) struct World {
    pub(crate) client: Client,
    pub(crate) node: Arc<Node>,
    pub(crate) addresses: Arc<Addresses>,
}

/// Leads a pod from its binding until it is deleted.
pub(crate) async fn lead(world: World, pod: Pod, deleted: watch::Receiver<bool>) {
    let name = format!("{}/{}", pod.namespace().unwrap_or_default(), pod.name_any());
    match Network::create(&world.node, &world.addresses).await {
        Ok(network) => {
            if let Err(failure) = live(&world, &pod, &network, deleted).await {
                eprintln!("node: {name}: {failure:#}");
            }
            network.remove(&world.addresses).await;
        }
        Err(failure) => eprintln!("node: {name}: {failure:#}"),
    }
    let at_once = DeleteParams {
        grace_period_seconds: Some(0),
        preconditions: Some(Preconditions { uid: pod.uid(), resource_version: None }),
        ..DeleteParams::default()
    };
    match api(&world, &pod).delete(&pod.name_any(), &at_once).await {
        // Deleted by force, or with its namespace.
        Ok(_) | Err(kube::Error::Api(_)) => {}
        Err(failure) => eprintln!("node: {name}: {failure:#}"),
    }
}

async fn live(
    world: &World,
    pod: &Pod,
    network: &Network,
    mut deleted: watch::Receiver<bool>,
) -> Result<()> {
    let mut pod = pod.clone();
    let namespace = pod.namespace().unwrap_or_default();
    let directory = world.node.state.join("pods").join(format!("{namespace}_{}", pod.name_any()));
    fs::create_dir_all(&directory)?;
    let spec = pod.spec.clone().context("no spec")?;
    let names =
        spec.init_containers.iter().flatten().chain(&spec.containers).map(|c| c.name.clone());
    let board = Board::new(names);
    show(world, &mut pod, &board, network).await;

    let volumes = tokio::select! {
        volumes = volumes(world, &pod, &directory) => volumes,
        () = until(&mut deleted, |deleted| *deleted) => return Ok(()),
    };
    let hosts = world.node.state.join("hosts").join(&namespace);
    let node = Arc::clone(&world.node);
    let launcher =
        Launcher { node, pod: pod.clone(), netns: network.path(), directory, volumes, hosts };
    let containers = Containers::new(&launcher, &board, &network.address);
    let mut changes = board.watch();
    let reporting = async {
        loop {
            show(world, &mut pod, &board, network).await;
            if changes.changed().await.is_err() {
                return;
            }
        }
    };
    tokio::select! {
        () = containers.run(deleted.clone()) => {}
        () = reporting => {}
    }
    show(world, &mut pod, &board, network).await;
    // What has ended by itself stays to be looked at.
    until(&mut deleted, |deleted| *deleted).await;
    Ok(())
}

/// Writes the volumes; what is not there yet (Istio writes its root certificate into new namespaces) is waited for.
async fn volumes(
    world: &World,
    pod: &Pod,
    directory: &std::path::Path,
) -> std::collections::BTreeMap<String, std::path::PathBuf> {
    let client = &world.client;
    loop {
        match (Volumes { client, pod, directory }).write().await {
            Ok(volumes) => return volumes,
            Err(failure) => eprintln!("node: {}: {failure:#}", pod.name_any()),
        }
        sleep(Duration::from_millis(500)).await;
    }
}

/// Tells the API server what has changed, and keeps it in `pod`.
async fn show(world: &World, pod: &mut Pod, board: &Board, network: &Network) {
    let states = board.watch().borrow().clone();
    let status: PodStatus = state::status(pod, &states, &world.node.address, &network.address);
    if pod.status.as_ref() == Some(&status) {
        return;
    }
    let patch = json!({ "metadata": { "uid": pod.uid() }, "status": status });
    let told = api(world, pod)
        .patch_status(&pod.name_any(), &PatchParams::default(), &Patch::Merge(patch))
        .await;
    match told {
        Ok(_) => pod.status = Some(status),
        Err(failure) => eprintln!("node: status of {}: {failure:#}", pod.name_any()),
    }
}

fn api(world: &World, pod: &Pod) -> Api<Pod> {
    Api::namespaced(world.client.clone(), &pod.namespace().unwrap_or_default())
}
