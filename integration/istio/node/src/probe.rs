//! Whether a container has started and is ready, by its manifest's probes: httpGet, tcpSocket and exec.

use std::time::Duration;

use anyhow::{Result, bail};
use k8s_openapi::api::core::v1::{Container, HTTPGetAction, Probe};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

use crate::process::Launcher;
use crate::state::Board;

/// Probes a container for as long as it runs.
pub(crate) async fn watch(
    container: &Container,
    address: &str,
    launcher: &Launcher,
    board: &Board,
) {
    if let Some(probe) = &container.startup_probe {
        until(probe, container, address, launcher, true).await;
    }
    board.update(&container.name, |state| state.started = true);
    let Some(probe) = &container.readiness_probe else {
        board.update(&container.name, |state| state.ready = true);
        return std::future::pending().await;
    };
    loop {
        until(probe, container, address, launcher, true).await;
        board.update(&container.name, |state| state.ready = true);
        until(probe, container, address, launcher, false).await;
        board.update(&container.name, |state| state.ready = false);
    }
}

/// Comes back when the probe has answered `wanted` often enough.
async fn until(
    probe: &Probe,
    container: &Container,
    address: &str,
    launcher: &Launcher,
    wanted: bool,
) {
    let threshold = if wanted {
        probe.success_threshold.unwrap_or(1)
    } else {
        probe.failure_threshold.unwrap_or(3)
    };
    let period = seconds(probe.period_seconds.unwrap_or(10));
    let mut in_a_row = 0;
    if wanted {
        sleep(seconds(probe.initial_delay_seconds.unwrap_or(0))).await;
    } else {
        sleep(period).await;
    }
    loop {
        let limit = seconds(probe.timeout_seconds.unwrap_or(1));
        let answer = timeout(limit, once(probe, container, address, launcher)).await;
        let passed = matches!(answer, Ok(Ok(())));
        in_a_row = if passed == wanted { in_a_row + 1 } else { 0 };
        if in_a_row >= threshold {
            return;
        }
        // A pod that is coming up is asked more often than the manifest says: it costs nothing and saves seconds.
        sleep(if wanted { period.min(Duration::from_millis(250)) } else { period }).await;
    }
}

async fn once(
    probe: &Probe,
    container: &Container,
    address: &str,
    launcher: &Launcher,
) -> Result<()> {
    if let Some(action) = &probe.http_get {
        return http(action, container, address).await;
    }
    if let Some(action) = &probe.tcp_socket {
        TcpStream::connect((
            action.host.as_deref().unwrap_or(address),
            port(&action.port, container)?,
        ))
        .await?;
        return Ok(());
    }
    if let Some(command) = probe.exec.as_ref().and_then(|action| action.command.as_ref()) {
        return launcher.run(&container.name, command).await;
    }
    bail!("a kind of probe that this node does not have")
}

async fn http(action: &HTTPGetAction, container: &Container, address: &str) -> Result<()> {
    let (host, port) = (action.host.as_deref().unwrap_or(address), port(&action.port, container)?);
    let mut stream = TcpStream::connect((host, port)).await?;
    let path = action.path.as_deref().unwrap_or("/");
    let mut request =
        format!("GET {path} HTTP/1.1\r\nhost: {host}:{port}\r\nuser-agent: kube-probe/1.36\r\n");
    for header in action.http_headers.iter().flatten() {
        request.push_str(&format!("{}: {}\r\n", header.name, header.value));
    }
    request.push_str("connection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    // "HTTP/1.1 2", "HTTP/1.1 3": all that matters.
    let mut start = [0; 10];
    stream.read_exact(&mut start).await?;
    match start.last() {
        Some(b'2' | b'3') => Ok(()),
        _ => bail!("refused"),
    }
}

fn port(port: &IntOrString, container: &Container) -> Result<u16> {
    let number = match port {
        IntOrString::Int(number) => Some(*number),
        IntOrString::String(name) => {
            let named =
                container.ports.iter().flatten().find(|port| port.name.as_ref() == Some(name));
            named.map(|port| port.container_port)
        }
    };
    match number.and_then(|number| u16::try_from(number).ok()) {
        Some(number) => Ok(number),
        None => bail!("no such port"),
    }
}

/// A manifest's seconds.
pub(crate) fn seconds(number: i32) -> Duration {
    Duration::from_secs(u64::try_from(number).unwrap_or(0))
}
