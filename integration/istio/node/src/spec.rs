//! What is said in files: the node's configuration (`tools/istio-up` writes it), and one container's, from the agent to
//! the process that becomes the container.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// The node, as `tools/istio-up` sets it up.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Node {
    /// The Node object's name.
    pub(crate) name: String,
    /// Where pods' files and logs live.
    pub(crate) state: PathBuf,
    /// What names of network namespaces begin with.
    pub(crate) prefix: String,
    /// The bridge that pods are plugged into, in the namespace that the agent runs in.
    pub(crate) bridge: String,
    /// The node's own address on it, which is also every pod's gateway.
    pub(crate) address: String,
    /// What pods' addresses begin with: three octets and a dot.
    pub(crate) network: String,
    /// Where pods find the API server: host and port.
    pub(crate) api_server: (String, u16),
    /// Names that every pod can resolve, besides the cluster's services.
    pub(crate) hosts: BTreeMap<String, String>,
    /// What stands for an image, by the last segment of its name less the tag.
    pub(crate) images: BTreeMap<String, Image>,
}

/// Programs of this machine in the place of an image.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Image {
    /// The command that a container runs if it names none.
    pub(crate) entrypoint: Vec<String>,
    /// Path in the container to path on the machine.
    #[serde(default)]
    pub(crate) files: BTreeMap<String, PathBuf>,
    /// The user that a container runs as if it names none.
    #[serde(default)]
    pub(crate) user: u32,
}

/// One container, ready to be entered.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Container {
    /// The pod's network namespace.
    pub(crate) netns: PathBuf,
    /// An empty directory; what is mounted on it is seen by nobody else.
    pub(crate) root: PathBuf,
    /// The host name inside.
    pub(crate) hostname: String,
    /// Mounted in this order.
    pub(crate) mounts: Vec<Mount>,
    /// The program and its arguments.
    pub(crate) command: Vec<String>,
    /// The whole environment.
    pub(crate) environment: BTreeMap<String, String>,
    /// Where it starts.
    pub(crate) directory: String,
    /// Who runs it.
    pub(crate) user: u32,
    /// In which group.
    pub(crate) group: u32,
}

/// A file or directory of the machine, inside a container.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Mount {
    pub(crate) source: PathBuf,
    pub(crate) target: PathBuf,
    pub(crate) read_only: bool,
}
