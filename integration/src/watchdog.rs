//! Ends a process when this one ends, however that comes about.

use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// A shell that reads a pipe of which only this process has the other end. When the pipe ends, this process is gone,
/// and the shell kills its ward and removes what that wrote. It sits in a process group of its own, so that Ctrl-C does
/// not reach it first.
const SCRIPT: &str = r#"while read -r _; do :; done; kill -KILL "$1" 2>/dev/null; rm -rf -- "$2""#;

/// A running watchdog. Dismissed when dropped.
#[derive(Debug)]
pub struct Watchdog(Child);

impl Watchdog {
    /// Watches over a child of this process and its folder.
    ///
    /// # Errors
    /// When there is no shell to be started.
    pub fn over(ward: &Child, folder: &Path) -> Result<Self, String> {
        Command::new("sh")
            .args(["-c", SCRIPT, "watchdog", &ward.id().to_string()])
            .arg(folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .map(Self)
            .map_err(|error| format!("sh: {error}"))
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
