//! Decides which of a pod's containers runs when: init containers one after the other, sidecars among them, then the
//! application's; restarts with a growing pause; at the end the application first, sidecars last.

use std::os::unix::process::ExitStatusExt;
use std::time::Duration;

use k8s_openapi::api::core::v1::{Container, PodSpec};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::process::Child;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use crate::probe::{self, seconds};
use crate::process::Launcher;
use crate::state::{Board, is_sidecar, lets_go_on, now, running, terminated, until, waiting};

/// How far a pod's end has come.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
enum Stage {
    /// It lives.
    Alive,
    /// The application's containers are to end, and sidecars to drain.
    StopApplication,
    /// Sidecars are to end.
    StopSidecars,
}

/// The containers of one pod.
pub(crate) struct Containers<'a> {
    launcher: &'a Launcher,
    board: &'a Board,
    address: &'a str,
    spec: PodSpec,
    grace: Duration,
    stage: watch::Sender<Stage>,
}

impl<'a> Containers<'a> {
    /// None of them running.
    pub(crate) fn new(launcher: &'a Launcher, board: &'a Board, address: &'a str) -> Self {
        let spec = launcher.pod.spec.clone().unwrap_or_default();
        let grace =
            spec.termination_grace_period_seconds.and_then(|s| i32::try_from(s).ok()).unwrap_or(30);
        Self {
            launcher,
            board,
            address,
            spec,
            grace: seconds(grace),
            stage: watch::Sender::new(Stage::Alive),
        }
    }

    /// Runs them all to their end.
    pub(crate) async fn run(&self, mut deleted: watch::Receiver<bool>) {
        let inits = self.spec.init_containers.as_deref().unwrap_or_default();
        let policy = self.spec.restart_policy.as_deref().unwrap_or("Always");
        let applications = async {
            let all = self
                .spec
                .containers
                .iter()
                .map(|c| self.follow(inits, c, policy, Stage::StopApplication));
            futures::future::join_all(all).await;
            self.stage.send_replace(Stage::StopSidecars);
        };
        let before = inits.iter().enumerate().map(|(index, init)| {
            let earlier = inits.get(..index).unwrap_or_default();
            match (is_sidecar(init), policy) {
                (true, _) => self.follow(earlier, init, "Always", Stage::StopSidecars),
                (false, "Never") => self.follow(earlier, init, "Never", Stage::StopApplication),
                (false, _) => self.follow(earlier, init, "OnFailure", Stage::StopApplication),
            }
        });
        let all = async { tokio::join!(applications, futures::future::join_all(before)) };
        let announce = async {
            until(&mut deleted, |deleted| *deleted).await;
            self.stage.send_if_modified(|stage| {
                let first = *stage == Stage::Alive;
                if first {
                    *stage = Stage::StopApplication;
                }
                first
            });
            std::future::pending::<()>().await;
        };
        tokio::select! {
            _ = all => {}
            () = announce => {}
        }
    }

    /// Runs a container once those before it let it.
    async fn follow(
        &self,
        earlier: &[Container],
        container: &Container,
        policy: &str,
        last: Stage,
    ) {
        let (mut states, mut stage) = (self.board.watch(), self.stage.subscribe());
        tokio::select! {
            () = until(&mut states, |states| earlier.iter().all(|init| lets_go_on(states, init))) => {}
            () = until(&mut stage, |stage| *stage != Stage::Alive) => return,
        }
        let mut pause = Duration::from_millis(500);
        loop {
            let code = self.once(container, last).await;
            let again = policy == "Always" || (policy == "OnFailure" && code != Some(0));
            if !again || *self.stage.borrow() != Stage::Alive {
                return;
            }
            self.board.update(&container.name, |state| {
                state.restarts += 1;
                if state.now.terminated.is_some() {
                    state.before =
                        Some(std::mem::replace(&mut state.now, waiting("CrashLoopBackOff", "")));
                }
            });
            tokio::select! {
                () = sleep(pause) => {}
                () = until(&mut stage, |stage| *stage != Stage::Alive) => return,
            }
            pause = (pause * 2).min(Duration::from_secs(30));
        }
    }

    /// One run of a container, with its exit code if it could be started.
    async fn once(&self, container: &Container, last: Stage) -> Option<i32> {
        let since = now();
        let mut child = match self.launcher.start(container) {
            Ok(child) => child,
            Err(failure) => {
                let message = format!("{failure:#}");
                self.board.update(&container.name, |state| {
                    state.now = waiting("CreateContainerError", &message)
                });
                return None;
            }
        };
        self.board.update(&container.name, |state| state.now = running());
        let status = tokio::select! {
            status = child.wait() => status,
            () = probe::watch(container, self.address, self.launcher, self.board) => child.wait().await,
            () = self.told_to_end(container, last) => self.end(&mut child).await,
        };
        let code = status.map_or(-1, |status| {
            status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0))
        });
        self.board.update(&container.name, |state| {
            (state.now, state.ready, state.started) = (terminated(code, since), false, false);
        });
        Some(code)
    }

    /// Comes back when a container has to end and its preStop hook has run; a sidecar's runs while it still serves.
    async fn told_to_end(&self, container: &Container, last: Stage) {
        let mut stage = self.stage.subscribe();
        until(&mut stage, |stage| *stage >= Stage::StopApplication).await;
        let hook = container.lifecycle.as_ref().and_then(|lifecycle| lifecycle.pre_stop.as_ref());
        if let Some(pause) = hook.and_then(|hook| hook.sleep.as_ref()) {
            sleep(seconds(i32::try_from(pause.seconds).unwrap_or(0))).await;
        }
        if let Some(command) = hook.and_then(|hook| hook.exec.as_ref()?.command.as_ref()) {
            match timeout(self.grace, self.launcher.run(&container.name, command)).await {
                Ok(Ok(())) => {}
                Ok(Err(failure)) => eprintln!("node: preStop of {}: {failure:#}", container.name),
                Err(_) => eprintln!("node: preStop of {} took too long", container.name),
            }
        }
        until(&mut stage, |stage| *stage >= last).await;
    }

    async fn end(&self, child: &mut Child) -> std::io::Result<std::process::ExitStatus> {
        if let Some(id) = child.id().and_then(|id| i32::try_from(id).ok()) {
            let _gone_already = kill(Pid::from_raw(id), Signal::SIGTERM);
        }
        match timeout(self.grace, child.wait()).await {
            Ok(status) => status,
            Err(_) => {
                child.kill().await?;
                child.wait().await
            }
        }
    }
}
