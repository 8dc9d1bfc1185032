//! A real registry on a free port of this machine, which dies with the test, and another program that reads from it.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};

const DEADLINE: Duration = Duration::from_secs(30);

/// The only one who may push to a registry that is locked.
pub(crate) const USERNAME: &str = "keeper";
pub(crate) const PASSWORD: &str = "lantern-42";
const HTPASSWD: &str = "keeper:$2b$05$abcdefghijklmnopqrstuuwqxHNebrqb5HICuAJpPM42FnHKyFOTK\n";

/// A running registry. Its images are kept in memory.
pub(crate) struct Registry {
    child: Child,
    /// `127.0.0.1:PORT`
    pub(crate) address: String,
}

impl Registry {
    /// Over plain HTTP, for everybody.
    pub(crate) fn open(home: &Path) -> Self {
        Self::start(home, "", "")
    }

    /// Over plain HTTP, below a path where nobody looks.
    pub(crate) fn elsewhere(home: &Path) -> Self {
        Self::start(home, "  prefix: /elsewhere/\n", "")
    }

    /// Over TLS, for its keeper only. The authority to be trusted is `authority/ca.crt` in the folder.
    pub(crate) fn locked(home: &Path) -> Self {
        let authority_key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority = params.self_signed(&authority_key).unwrap();
        // Apart, as skopeo takes a key beside it for the client's.
        fs::create_dir(home.join("authority")).unwrap();
        fs::write(home.join("authority/ca.crt"), authority.pem()).unwrap();
        let issuer = Issuer::new(params, authority_key);
        let key = KeyPair::generate().unwrap();
        let server = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
        let certificate = server.signed_by(&key, &issuer).unwrap();
        fs::write(home.join("server.pem"), certificate.pem()).unwrap();
        fs::write(home.join("server.key"), key.serialize_pem()).unwrap();
        fs::write(home.join("htpasswd"), HTPASSWD).unwrap();
        Self::start(
            home,
            "  tls: {certificate: server.pem, key: server.key}\n",
            "auth: {htpasswd: {realm: test, path: htpasswd}}\n",
        )
    }

    fn start(home: &Path, http: &str, auth: &str) -> Self {
        let config = format!(
            "version: 0.1\nlog: {{level: info, accesslog: {{disabled: true}}}}\n\
             storage: {{inmemory: {{}}}}\nhttp:\n  addr: 127.0.0.1:0\n{http}{auth}"
        );
        fs::write(home.join("registry.yaml"), config).unwrap();
        // `setpriv` ends it if the test is killed and cannot.
        let child = Command::new("setpriv")
            .args(["--pdeathsig", "KILL", "docker-registry", "serve", "registry.yaml"])
            .current_dir(home)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("setpriv");
        let mut registry = Self { child, address: String::new() };
        let log = BufReader::new(registry.child.stderr.take().unwrap());
        let (tell, told) = mpsc::channel();
        // Reads to the end, so that the registry can always write.
        std::thread::spawn(move || {
            for line in log.lines().map_while(Result::ok) {
                let _ = tell.send(line);
            }
        });
        let mut lines = Vec::new();
        while registry.address.is_empty() {
            let Ok(line) = told.recv_timeout(DEADLINE) else {
                panic!("the registry does not listen; it wrote {lines:#?}");
            };
            if let Some((_, rest)) = line.split_once("listening on ") {
                let end = |byte: char| !matches!(byte, '0'..='9' | '.' | ':');
                registry.address = rest.split(end).next().unwrap_or_default().to_owned();
            }
            lines.push(line);
        }
        registry
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs `skopeo` in the folder; it must succeed.
pub(crate) fn skopeo(home: &Path, line: &str) -> Output {
    let output = Command::new("skopeo")
        .arg("--insecure-policy")
        .args(line.split_whitespace())
        .current_dir(home)
        .env_clear()
        .env("HOME", home)
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .output()
        .expect("skopeo");
    assert!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
    output
}
