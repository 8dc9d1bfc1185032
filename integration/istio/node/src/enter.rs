//! Becoming a container. `enter` joins the pod's network, makes mount, process and host-name namespaces of its own, lays
//! out a root from the machine's programs and the container's mounts, and starts `init` as the first process in there,
//! which drops its rights and turns into the program. Kernel and namespaces clean up: when the agent dies, however it
//! dies, `enter` is killed, and with the first process goes the whole container.

use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::symlink;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, setns, unshare};
use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::{Signal, kill};
use nix::unistd::{Gid, Pid, Uid, chdir, chroot, setgroups, sethostname, setresgid, setresuid};
use tokio::signal::unix::{SignalKind, signal};

use crate::spec::{Container, Mount};

/// What of the machine's `/etc` programs need in order to start at all.
const ETC: [&str; 5] = ["alternatives", "ssl", "ld.so.cache", "protocols", "services"];

/// Runs the container to its end and gives its exit code.
pub(crate) fn enter(file: &Path) -> Result<i32> {
    set_pdeathsig(Signal::SIGKILL)?;
    let spec: Container = read(file)?;
    setns(
        File::open(&spec.netns).context("the pod's network namespace")?,
        CloneFlags::CLONE_NEWNET,
    )?;
    let own = CloneFlags::CLONE_NEWNS
        | CloneFlags::CLONE_NEWPID
        | CloneFlags::CLONE_NEWUTS
        | CloneFlags::CLONE_NEWIPC;
    unshare(own).context("making namespaces")?;
    sethostname(&spec.hostname)?;
    lay_out(&spec)?;

    // One thread only: a process whose children live in another pid namespace can start no second one.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut terminate = signal(SignalKind::terminate())?;
        let mut child =
            tokio::process::Command::new("/proc/self/exe").arg("init").arg(file).spawn()?;
        let first = child.id().and_then(|id| i32::try_from(id).ok()).map(Pid::from_raw);
        loop {
            tokio::select! {
                _ = terminate.recv() => if let Some(first) = first {
                    let _gone_already = kill(first, Signal::SIGTERM);
                },
                status = child.wait() => {
                    let status = status?;
                    return Ok(status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0)));
                }
            }
        }
    })
}

/// Turns into the container's program; comes back only if that cannot be done.
pub(crate) fn init(file: &Path) -> Result<()> {
    let spec: Container = read(file)?;
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
    mount(Some("proc"), &spec.root.join("proc"), Some("proc"), flags, None::<&str>)
        .context("/proc")?;
    // Sysctls of the pod's network (istio-iptables reads some); nothing else of /sys is written to.
    mount(Some("sysfs"), &spec.root.join("sys"), Some("sysfs"), flags, None::<&str>)
        .context("/sys")?;
    chroot(&spec.root)?;
    chdir(spec.directory.as_str())?;
    setgroups(&[])?;
    let (user, group) = (Uid::from_raw(spec.user), Gid::from_raw(spec.group));
    setresgid(group, group, group)?;
    setresuid(user, user, user)?;
    // Only now, as the kernel forgets it when the user changes.
    set_pdeathsig(Signal::SIGKILL)?;
    let Some((program, arguments)) = spec.command.split_first() else { bail!("no command") };
    let path = find(program, spec.environment.get("PATH").map_or("", String::as_str));
    let failure = Command::new(path).args(arguments).env_clear().envs(&spec.environment).exec();
    Err(failure).with_context(|| format!("cannot run {program}"))
}

fn read(file: &Path) -> Result<Container> {
    Ok(serde_json::from_slice(&fs::read(file)?)?)
}

/// A program by the container's own PATH, not by ours.
fn find(program: &str, path: &str) -> PathBuf {
    let named = PathBuf::from(program);
    if program.contains('/') {
        return named;
    }
    path.split(':')
        .map(|folder| Path::new(folder).join(program))
        .find(|path| path.is_file())
        .unwrap_or(named)
}

fn lay_out(spec: &Container) -> Result<()> {
    mount(None::<&str>, "/", None::<&str>, MsFlags::MS_REC | MsFlags::MS_PRIVATE, None::<&str>)?;
    let root = &spec.root;
    mount(Some("tmpfs"), root, Some("tmpfs"), MsFlags::empty(), Some("mode=755"))
        .context("the root")?;
    for folder in ["usr", "etc", "var/lib", "var/log", "run", "proc", "sys", "dev", "root", "tmp"] {
        fs::create_dir_all(root.join(folder))?;
    }
    fs::set_permissions(root.join("tmp"), std::os::unix::fs::PermissionsExt::from_mode(0o1777))?;
    symlink("../run", root.join("var/run"))?;
    bind(Path::new("/usr"), &root.join("usr"), true)?;
    for folder in ["bin", "sbin", "lib", "lib64"] {
        let host = Path::new("/").join(folder);
        match fs::read_link(&host) {
            Ok(target) => symlink(target, root.join(folder))?,
            Err(_) if host.is_dir() => {
                place(&Mount { source: host.clone(), target: host, read_only: true }, root)?
            }
            Err(_) => {}
        }
    }
    bind(Path::new("/dev"), &root.join("dev"), false)?;
    for name in ETC {
        let host = Path::new("/etc").join(name);
        if host.exists() {
            place(&Mount { source: host.clone(), target: host, read_only: true }, root)?;
        }
    }
    fs::write(root.join("etc/nsswitch.conf"), "passwd: files\ngroup: files\nhosts: files\n")?;
    fs::write(
        root.join("etc/passwd"),
        "root:x:0:0::/root:/bin/sh\nistio-proxy:x:1337:1337::/:/bin/false\n",
    )?;
    fs::write(root.join("etc/group"), "root:x:0:\nistio-proxy:x:1337:\n")?;
    fs::write(root.join("etc/resolv.conf"), "")?;
    // Programs that stand for the image go where the machine has none of its own.
    mount(
        Some("tmpfs"),
        &root.join("usr/local/bin"),
        Some("tmpfs"),
        MsFlags::empty(),
        Some("mode=755"),
    )?;
    for each in &spec.mounts {
        place(each, root).with_context(|| format!("mounting {}", each.target.display()))?;
    }
    Ok(())
}

/// Puts a mount into place, with what it takes to hold it.
fn place(each: &Mount, root: &Path) -> Result<()> {
    let inside = each.target.strip_prefix("/").unwrap_or(&each.target);
    // An absolute link inside the root would lead out of it: /var/run is the one that paths in manifests go through.
    let inside = inside
        .strip_prefix("var/run")
        .map_or_else(|_| inside.to_path_buf(), |rest| Path::new("run").join(rest));
    let target = root.join(inside);
    if each.source.is_dir() {
        fs::create_dir_all(&target)?;
    } else {
        fs::create_dir_all(target.parent().unwrap_or(root))?;
        OpenOptions::new().create(true).append(true).open(&target)?;
    }
    bind(&each.source, &target, each.read_only)
}

fn bind(source: &Path, target: &Path, read_only: bool) -> Result<()> {
    mount(Some(source), target, None::<&str>, MsFlags::MS_BIND | MsFlags::MS_REC, None::<&str>)
        .with_context(|| format!("binding {}", source.display()))?;
    if read_only {
        let flags = MsFlags::MS_BIND | MsFlags::MS_REMOUNT | MsFlags::MS_RDONLY;
        mount(None::<&str>, target, None::<&str>, flags, None::<&str>)?;
    }
    Ok(())
}
