//! A pod's network: a namespace, plugged into the node's bridge, with one address. What a CNI plugin does.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use anyhow::{Result, bail};
use tokio::process::Command;

use crate::spec::Node;

/// Addresses that pods have.
#[derive(Default)]
pub(crate) struct Addresses {
    taken: Mutex<BTreeSet<u8>>,
    last: Mutex<u8>,
}

/// The first pod's last octet; those below belong to the node.
const FIRST: u8 = 10;

impl Addresses {
    /// The next free one. It goes round, so that a new pod seldom has the address of one that has just gone.
    fn take(&self) -> Option<u8> {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let next = (last.saturating_add(1).max(FIRST)..=254)
            .chain(FIRST..=254)
            .find(|n| !taken.contains(n))?;
        taken.insert(next);
        *last = next;
        Some(next)
    }

    fn give_back(&self, number: u8) {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner).remove(&number);
    }
}

/// A pod's network namespace.
pub(crate) struct Network {
    name: String,
    number: u8,
    /// The pod's address.
    pub(crate) address: String,
}

impl Network {
    /// Makes one.
    pub(crate) async fn create(node: &Node, addresses: &Addresses) -> Result<Self> {
        let Some(number) = addresses.take() else { bail!("no address is left") };
        let name = format!("{}-{number}", node.prefix);
        let network = Self { name, number, address: format!("{}{number}", node.network) };
        // What an agent that was killed may have left.
        let _nothing_there = ip(&["netns", "del", &network.name]).await;
        match network.plug(node).await {
            Ok(()) => Ok(network),
            Err(failure) => {
                network.remove(addresses).await;
                Err(failure)
            }
        }
    }

    async fn plug(&self, node: &Node) -> Result<()> {
        let (name, cable) = (self.name.as_str(), format!("pod{}", self.number));
        ip(&["netns", "add", name]).await?;
        ip(&["link", "add", &cable, "type", "veth", "peer", "name", "eth0", "netns", name]).await?;
        ip(&["link", "set", &cable, "master", &node.bridge, "up"]).await?;
        ip(&["-n", name, "link", "set", "lo", "up"]).await?;
        ip(&["-n", name, "address", "add", &format!("{}/24", self.address), "dev", "eth0"]).await?;
        ip(&["-n", name, "link", "set", "eth0", "up"]).await?;
        ip(&["-n", name, "route", "add", "default", "via", &node.address]).await?;
        // As container runtimes do: a gateway listens on 80 without being root.
        let low_ports = "echo 0 > /proc/sys/net/ipv4/ip_unprivileged_port_start";
        ip(&["netns", "exec", name, "sh", "-c", low_ports]).await
    }

    /// Where the namespace can be joined.
    pub(crate) fn path(&self) -> PathBuf {
        Path::new("/run/netns").join(&self.name)
    }

    /// Takes it away.
    pub(crate) async fn remove(&self, addresses: &Addresses) {
        if let Err(failure) = ip(&["netns", "del", &self.name]).await {
            eprintln!("node: {failure:#}");
        }
        addresses.give_back(self.number);
    }
}

async fn ip(arguments: &[&str]) -> Result<()> {
    let output = Command::new("ip").args(arguments).output().await?;
    if !output.status.success() {
        bail!("ip {}: {}", arguments.join(" "), String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(())
}
