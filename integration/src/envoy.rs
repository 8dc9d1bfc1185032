//! A running Envoy, and Envoy as a judge of configurations.

use std::fs::File;
use std::net::SocketAddr;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;

use crate::folder::Folder;
use crate::watchdog::Watchdog;
use crate::{AccessLog, Admin, Bootstrap, poll, workspace};

const CONFIG: &str = "envoy.json";
const ADMIN: &str = "admin";
const LOG: &str = "envoy.log";
const ACCESS_LOG: &str = "access.log";

/// An Envoy that serves. Killed when dropped, and when this process dies. If a test fails over it, the end of its log
/// is printed and its folder is left behind.
#[derive(Debug)]
pub struct Envoy {
    process: Child,
    watchdog: Option<Watchdog>,
    folder: Folder,
    admin: Admin,
}

impl Envoy {
    /// Starts an Envoy with so many workers and waits until it is ready.
    ///
    /// # Errors
    /// When there is no Envoy, or it does not start; the error tells the end of its log.
    pub fn start(bootstrap: &Bootstrap, concurrency: u32) -> Result<Self, String> {
        Self::start_in(Folder::temporary()?, bootstrap, concurrency)
    }

    /// As [`Envoy::start`], with everything that is written in `folder`.
    ///
    /// # Errors
    /// As [`Envoy::start`].
    pub fn start_in(
        folder: Folder,
        bootstrap: &Bootstrap,
        concurrency: u32,
    ) -> Result<Self, String> {
        let config = folder.write(CONFIG, bootstrap.to_json().as_bytes())?;
        let address = folder.path().join(ADMIN);
        let mut process = Command::new(binary()?)
            .current_dir(workspace::root())
            .arg("-c")
            .arg(config)
            .arg("--admin-address-path")
            .arg(&address)
            .args(["--concurrency", &concurrency.to_string()])
            .args(["--disable-hot-restart", "--file-flush-interval-msec", "10"])
            // Whoever discovers configuration must have a name.
            .args(["--service-node", "outrigger", "--service-cluster", "outrigger"])
            .stdin(Stdio::null())
            .stdout(create(&folder, ACCESS_LOG)?)
            .stderr(create(&folder, LOG)?)
            // Not in the terminal's foreground: Ctrl-C is for this process, and the watchdog does the rest.
            .process_group(0)
            .spawn()
            .map_err(|error| format!("envoy: {error}"))?;
        let watchdog = Watchdog::over(&process, folder.path());
        let admin = ready(&mut process, &address);
        let log = folder.path().join(LOG);
        match (admin, watchdog) {
            (Ok(admin), Ok(watchdog)) => {
                Ok(Self { process, watchdog: Some(watchdog), folder, admin })
            }
            (Err(error), _) | (_, Err(error)) => {
                let _ = process.kill();
                let _ = process.wait();
                Err(format!("{error}; the end of its log:\n{}", tail(&log)))
            }
        }
    }

    /// Where a listener listens.
    ///
    /// # Errors
    /// When there is no such listener, or the admin interface does not answer.
    pub fn listener(&self, name: &str) -> Result<SocketAddr, String> {
        self.admin.listener(name)
    }

    /// The admin interface.
    #[must_use]
    pub fn admin(&self) -> &Admin {
        &self.admin
    }

    /// The access log.
    #[must_use]
    pub fn access_log(&self) -> AccessLog {
        AccessLog::at(self.folder.path().join(ACCESS_LOG))
    }

    /// The log, as far as it is written.
    #[must_use]
    pub fn log(&self) -> String {
        read(&self.log_path())
    }

    /// The last lines of the log.
    #[must_use]
    pub fn log_tail(&self) -> String {
        tail(&self.log_path())
    }

    /// Where the log is.
    #[must_use]
    pub fn log_path(&self) -> PathBuf {
        self.folder.path().join(LOG)
    }

    /// The process, for measurements.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// Whether it still runs.
    pub fn is_running(&mut self) -> bool {
        matches!(self.process.try_wait(), Ok(None))
    }
}

impl Drop for Envoy {
    fn drop(&mut self) {
        let _ = self.process.kill();
        // Dismissed before the process is reaped: until then its id can be nobody else's.
        self.watchdog = None;
        let _ = self.process.wait();
        if std::thread::panicking() {
            let log = self.log_path();
            eprintln!("the end of {}:\n{}", log.display(), tail(&log));
        }
    }
}

/// What Envoy thinks of a configuration.
#[derive(Clone, Debug)]
pub struct Validation {
    /// Whether it would start.
    pub accepted: bool,
    /// What it logged.
    pub log: String,
}

/// Lets Envoy load a configuration without serving it (`--mode validate`).
///
/// # Errors
/// When there is no Envoy.
pub fn validate(bootstrap: &Bootstrap) -> Result<Validation, String> {
    let folder = Folder::temporary()?;
    let config = folder.write(CONFIG, bootstrap.to_json().as_bytes())?;
    let output = Command::new(binary()?)
        .current_dir(workspace::root())
        .args(["--mode", "validate", "-c"])
        .arg(config)
        .args(["--concurrency", "1", "--disable-hot-restart"])
        .stdin(Stdio::null())
        .output()
        .map_err(|error| format!("envoy: {error}"))?;
    let log = String::from_utf8_lossy(&output.stderr).into_owned();
    Ok(Validation { accepted: output.status.success(), log })
}

/// The Envoy to run: `$ENVOY`, else what `tools/envoy` finds or installs.
fn binary() -> Result<PathBuf, String> {
    static FOUND: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    FOUND
        .get_or_init(|| {
            if let Some(path) = std::env::var_os("ENVOY") {
                return Ok(PathBuf::from(path));
            }
            let output = Command::new(workspace::root().join("tools/envoy"))
                .stderr(Stdio::inherit())
                .output()
                .map_err(|error| format!("tools/envoy: {error}"))?;
            if !output.status.success() {
                return Err(format!("tools/envoy: {}", output.status));
            }
            Ok(PathBuf::from(String::from_utf8_lossy(&output.stdout).trim()))
        })
        .clone()
}

/// Waits until the admin interface says that all is loaded.
fn ready(process: &mut Child, address: &Path) -> Result<Admin, String> {
    poll::until(poll::DEADLINE, "envoy to be ready", || {
        if let Ok(Some(status)) = process.try_wait() {
            return Some(Err(format!("envoy ended with {status}")));
        }
        let admin = Admin::at(read(address).trim().parse().ok()?);
        admin.is_ready().then_some(Ok(admin))
    })?
}

fn create(folder: &Folder, name: &str) -> Result<File, String> {
    let path = folder.path().join(name);
    File::create(&path).map_err(|error| format!("{}: {error}", path.display()))
}

fn read(path: &Path) -> String {
    std::fs::read(path)
        .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
        .unwrap_or_default()
}

/// The last lines of a log that are more than information, for an error message.
fn tail(path: &Path) -> String {
    let text = read(path);
    let lines: Vec<&str> = text.lines().filter(|line| !line.contains("][info][")).collect();
    lines.get(lines.len().saturating_sub(20)..).unwrap_or_default().join("\n")
}
