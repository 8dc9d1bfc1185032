//! Starting a pod's containers: what of the manifest and the node's images makes a `spec::Container`, and the process
//! that enters it, its output in a file.

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use k8s_openapi::api::core::v1::{Container, Pod};
use kube::ResourceExt;
use tokio::process::{Child, Command};

use crate::environment;
use crate::spec::{self, Image, Mount, Node};

/// Everything that a pod's containers have in common.
pub(crate) struct Launcher {
    pub(crate) node: Arc<Node>,
    /// With its address in its status.
    pub(crate) pod: Pod,
    pub(crate) netns: PathBuf,
    pub(crate) directory: PathBuf,
    pub(crate) volumes: BTreeMap<String, PathBuf>,
    pub(crate) hosts: PathBuf,
}

impl Launcher {
    /// Starts a container.
    pub(crate) fn start(&self, container: &Container) -> Result<Child> {
        let spec = self.spec(container)?;
        self.spawn(&container.name, &spec)
    }

    /// Runs a command as if in the container: the same root, network, user and environment, and its own processes.
    pub(crate) async fn run(&self, container: &str, command: &[String]) -> Result<()> {
        let Some(container) = self.containers().find(|c| c.name == container) else {
            bail!("no such container")
        };
        let mut spec = self.spec(container)?;
        spec.command = command.to_vec();
        let status = self.spawn(&format!("{}.exec", container.name), &spec)?.wait().await?;
        if status.success() { Ok(()) } else { bail!("{}: {status}", command.join(" ")) }
    }

    /// All containers of the pod.
    pub(crate) fn containers(&self) -> impl Iterator<Item = &Container> {
        let spec = self.pod.spec.as_ref();
        let inits = spec.and_then(|spec| spec.init_containers.as_ref()).into_iter().flatten();
        inits.chain(spec.into_iter().flat_map(|spec| &spec.containers))
    }

    fn spawn(&self, name: &str, spec: &spec::Container) -> Result<Child> {
        let file = self.directory.join(format!("{name}.json"));
        fs::write(&file, serde_json::to_vec_pretty(spec)?)?;
        let log = OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.directory.join(format!("{name}.log")))?;
        // A program that opens /dev/stdout by its name opens this file, as whoever it is.
        log.set_permissions(Permissions::from_mode(0o666))?;
        let mut command = Command::new("/proc/self/exe");
        command.arg("enter").arg(&file).stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        command.process_group(0).kill_on_drop(true).spawn().context("starting a process")
    }

    fn spec(&self, container: &Container) -> Result<spec::Container> {
        let image = self.image(container)?;
        let root = self.directory.join("root");
        fs::create_dir_all(&root)?;
        let environment = environment::of(&self.node, &self.pod, container);
        let mut mounts: Vec<Mount> = vec![Mount {
            source: self.hosts.clone(),
            target: "/etc/hosts".into(),
            read_only: true,
        }];
        for (target, source) in &image.files {
            mounts.push(Mount { source: source.clone(), target: target.into(), read_only: true });
        }
        for mount in container.volume_mounts.iter().flatten() {
            let Some(volume) = self.volumes.get(&mount.name) else {
                bail!("no volume {}", mount.name)
            };
            mounts.push(Mount {
                source: volume.join(mount.sub_path.as_deref().unwrap_or("")),
                target: PathBuf::from(&mount.mount_path),
                read_only: mount.read_only == Some(true),
            });
        }
        // What is mounted inside of another comes after it.
        mounts.sort_by_key(|mount| mount.target.components().count());
        let whole_pod = self.pod.spec.as_ref().and_then(|spec| spec.security_context.as_ref());
        let own = container.security_context.as_ref();
        let number =
            |own: Option<i64>, pod: Option<i64>| own.or(pod).and_then(|id| u32::try_from(id).ok());
        let user = number(own.and_then(|c| c.run_as_user), whole_pod.and_then(|c| c.run_as_user));
        let user = user.unwrap_or(image.user);
        let group =
            number(own.and_then(|c| c.run_as_group), whole_pod.and_then(|c| c.run_as_group));
        Ok(spec::Container {
            netns: self.netns.clone(),
            root,
            hostname: self.pod.name_any().chars().take(63).collect(),
            mounts,
            command: environment::command(image, container, &environment),
            environment,
            directory: container.working_dir.clone().unwrap_or_else(|| "/".to_owned()),
            user,
            group: group.unwrap_or(user),
        })
    }

    /// What stands for the container's image.
    fn image(&self, container: &Container) -> Result<&Image> {
        let name = container.image.as_deref().unwrap_or_default();
        let last = name.rsplit('/').next().unwrap_or_default();
        let last = last.split(['@', ':']).next().unwrap_or_default();
        self.node
            .images
            .get(last)
            .with_context(|| format!("no program of this machine stands for image {name}"))
    }
}
