//! What a kubelet does, with network namespaces as pods and this machine's programs as images.
//! `node agent CONFIG` serves the cluster that KUBECONFIG names; `enter` and `init` are what it starts.

mod cluster;
mod containers;
mod enter;
mod environment;
mod network;
mod pod;
mod probe;
mod process;
mod spec;
mod state;
mod volumes;

use std::collections::HashMap;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context, Result};
use futures::TryStreamExt;
use k8s_openapi::api::core::v1::Pod;
use kube::runtime::watcher::{Config, Event};
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, Client, ResourceExt};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::pod::World;
use crate::spec::Node;

fn main() -> ExitCode {
    let arguments = Vec::from_iter(std::env::args());
    let words = Vec::from_iter(arguments.iter().skip(1).map(String::as_str));
    let result = match *words {
        ["agent", file] => agent(Path::new(file)).map(|()| 0),
        ["enter", file] => enter::enter(Path::new(file)),
        ["init", file] => enter::init(Path::new(file)).map(|()| 0),
        _ => Err(anyhow::anyhow!("usage: node agent CONFIG.json")),
    };
    match result {
        Ok(code) => ExitCode::from(u8::try_from(code).unwrap_or(1)),
        Err(failure) => {
            eprintln!("node: {failure:#}");
            ExitCode::FAILURE
        }
    }
}

/// On one thread: containers die with the thread that started them.
fn agent(file: &Path) -> Result<()> {
    let node: Node =
        serde_json::from_slice(&std::fs::read(file)?).context("the node's configuration")?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(serve(Arc::new(node)))
}

async fn serve(node: Arc<Node>) -> Result<()> {
    let client = Client::try_default().await?;
    cluster::register(&client, &node).await?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let world =
        World { client: client.clone(), node: Arc::clone(&node), addresses: Arc::default() };
    tokio::select! {
        result = pods(world) => result,
        () = cluster::keep_lease(&client, &node) => Ok(()),
        result = cluster::keep_hosts(&client, &node) => result,
        _ = terminate.recv() => Ok(()),
        _ = interrupt.recv() => Ok(()),
    }
}

/// Starts what is bound to this node, and tells pods of their deletion.
async fn pods(world: World) -> Result<()> {
    let mine = Config::default().fields(&format!("spec.nodeName={}", world.node.name));
    let events = watcher(Api::<Pod>::all(world.client.clone()), mine).default_backoff();
    let mut events = std::pin::pin!(events);
    let mut known: HashMap<String, watch::Sender<bool>> = HashMap::new();
    let mut lives = JoinSet::new();
    loop {
        let event = match events.try_next().await {
            Ok(Some(event)) => event,
            Ok(None) => return Ok(()),
            Err(failure) => {
                eprintln!("node: pods: {failure}");
                continue;
            }
        };
        match event {
            Event::Apply(pod) | Event::InitApply(pod) => {
                let stop = known.entry(pod.uid().unwrap_or_default()).or_insert_with(|| {
                    let (stop, deleted) = watch::channel(false);
                    lives.spawn(pod::lead(world.clone(), pod.clone(), deleted));
                    stop
                });
                if pod.metadata.deletion_timestamp.is_some() {
                    stop.send_replace(true);
                }
            }
            Event::Delete(pod) => {
                if let Some(stop) = known.remove(&pod.uid().unwrap_or_default()) {
                    stop.send_replace(true);
                }
            }
            Event::Init | Event::InitDone => while lives.try_join_next().is_some() {},
        }
    }
}
