//! The command line as a user runs it, a module for it, and folders to work in.
#![allow(dead_code, reason = "each test file uses a part")]

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// A module that imports `env.proxy_log`.
pub(crate) const MODULE: &[u8] =
    b"\0asm\x01\0\0\0\x01\x04\x01\x60\0\0\x02\x11\x01\x03env\x09proxy_log\0\0";

/// An empty folder of a test.
pub(crate) fn folder(test: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(test);
    if folder.exists() {
        fs::remove_dir_all(&folder).unwrap();
    }
    fs::create_dir_all(&folder).unwrap();
    folder
}

/// Runs `outrigger` in the folder, as somebody whose home that is, with a text on standard input. A first word `A=B` goes
/// into its environment.
pub(crate) fn outrigger(home: &Path, line: &str, input: &str) -> Output {
    let first = line.split_whitespace().next().and_then(|word| word.split_once('='));
    let mut child = Command::new(env!("CARGO_BIN_EXE_outrigger"))
        .args(line.split_whitespace().skip(usize::from(first.is_some())))
        .current_dir(home)
        .env_clear()
        .env("HOME", home)
        .envs(first)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // One that is refused early does not read.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    child.wait_with_output().unwrap()
}

/// What a run that must succeed prints, without the end of the line.
pub(crate) fn printed(home: &Path, line: &str, input: &str) -> String {
    let output = outrigger(home, line, input);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{line}: {stderr}");
    String::from_utf8(output.stdout).unwrap().trim_end().to_owned()
}

/// The status of a run that must fail, and its complaint.
pub(crate) fn complaint(home: &Path, line: &str, input: &str) -> (i32, String) {
    let output = outrigger(home, line, input);
    assert_eq!(String::from_utf8_lossy(&output.stdout), "", "{line}");
    let stderr = String::from_utf8(output.stderr).unwrap();
    (output.status.code().unwrap(), stderr.trim_end().to_owned())
}

/// The files below a folder, by their names within it.
pub(crate) fn files(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut files = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let name = path.strip_prefix(folder).unwrap().to_owned();
                files.push((name, fs::read(path).unwrap()));
            }
        }
    }
    files.sort();
    files
}
