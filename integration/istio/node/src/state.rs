//! What is known of a pod's containers, and the status that it makes.

use std::collections::BTreeMap;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{
    Container, ContainerState, ContainerStateRunning, ContainerStateTerminated,
    ContainerStateWaiting, ContainerStatus, HostIP, Pod, PodCondition, PodIP, PodStatus,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use tokio::sync::watch;

/// One container.
#[derive(Clone, Debug)]
pub(crate) struct State {
    pub(crate) now: ContainerState,
    pub(crate) before: Option<ContainerState>,
    pub(crate) started: bool,
    pub(crate) ready: bool,
    pub(crate) restarts: i32,
}

/// All containers of a pod, by name; whoever shows them or waits for them is told of every change.
pub(crate) struct Board {
    states: watch::Sender<BTreeMap<String, State>>,
}

impl Board {
    /// With nothing started.
    pub(crate) fn new(containers: impl Iterator<Item = String>) -> Self {
        let state = State {
            now: waiting("PodInitializing", ""),
            before: None,
            started: false,
            ready: false,
            restarts: 0,
        };
        Self { states: watch::Sender::new(containers.map(|name| (name, state.clone())).collect()) }
    }

    /// Changes what is known of one container.
    pub(crate) fn update(&self, name: &str, change: impl FnOnce(&mut State)) {
        self.states.send_modify(|states| {
            if let Some(state) = states.get_mut(name) {
                change(state);
            }
        });
    }

    /// What is known of all, now and from now on.
    pub(crate) fn watch(&self) -> watch::Receiver<BTreeMap<String, State>> {
        self.states.subscribe()
    }
}

/// Whether what comes after this init container may begin.
pub(crate) fn lets_go_on(states: &BTreeMap<String, State>, init: &Container) -> bool {
    states
        .get(&init.name)
        .is_some_and(|state| if is_sidecar(init) { state.started } else { succeeded(state) })
}

/// Whether an init container is one that stays.
pub(crate) fn is_sidecar(init: &Container) -> bool {
    init.restart_policy.as_deref() == Some("Always")
}

/// Comes back when the condition holds. The value is not kept borrowed: nobody could change it.
pub(crate) async fn until<T>(receiver: &mut watch::Receiver<T>, condition: impl FnMut(&T) -> bool) {
    let _or_never_again = receiver.wait_for(condition).await.is_ok();
}

/// Not running, with the reason.
pub(crate) fn waiting(reason: &str, message: &str) -> ContainerState {
    let waiting = ContainerStateWaiting {
        reason: Some(reason.to_owned()),
        message: (!message.is_empty()).then(|| message.to_owned()),
    };
    ContainerState { waiting: Some(waiting), ..ContainerState::default() }
}

/// Running since now.
pub(crate) fn running() -> ContainerState {
    let running = ContainerStateRunning { started_at: Some(Time(now())) };
    ContainerState { running: Some(running), ..ContainerState::default() }
}

/// At its end.
pub(crate) fn terminated(code: i32, since: Timestamp) -> ContainerState {
    let terminated = ContainerStateTerminated {
        exit_code: code,
        reason: Some(if code == 0 { "Completed" } else { "Error" }.to_owned()),
        started_at: Some(Time(since)),
        finished_at: Some(Time(now())),
        ..ContainerStateTerminated::default()
    };
    ContainerState { terminated: Some(terminated), ..ContainerState::default() }
}

/// The time, in whole seconds, as the API has it.
pub(crate) fn now() -> Timestamp {
    let now = Timestamp::now();
    Timestamp::from_second(now.as_second()).unwrap_or(now)
}

/// A pod's status; conditions keep their times where nothing changed.
pub(crate) fn status(
    pod: &Pod,
    states: &BTreeMap<String, State>,
    host: &str,
    address: &str,
) -> PodStatus {
    let empty = Vec::new();
    let old = pod.status.clone().unwrap_or_default();
    let (inits, apps) = pod.spec.as_ref().map_or((&empty, &empty), |spec| {
        (spec.init_containers.as_ref().unwrap_or(&empty), &spec.containers)
    });
    let of = |container: &Container| states.get(&container.name);
    let finished =
        |container: &Container| of(container).is_some_and(|s| s.now.terminated.is_some());
    let initialized = inits.iter().all(|init| lets_go_on(states, init));
    let ready = initialized
        && apps
            .iter()
            .chain(inits.iter().filter(|c| is_sidecar(c)))
            .all(|c| of(c).is_some_and(|s| s.ready));
    let phase = if !apps.is_empty() && apps.iter().all(finished) {
        if apps.iter().all(|c| of(c).is_some_and(succeeded)) { "Succeeded" } else { "Failed" }
    } else if initialized
        && apps.iter().any(|c| of(c).is_some_and(|s| s.now.running.is_some() || s.restarts > 0))
    {
        "Running"
    } else {
        "Pending"
    };
    let condition = |kind: &str, holds: bool| {
        let value = if holds { "True" } else { "False" };
        let before = old.conditions.iter().flatten().find(|c| c.type_ == kind && c.status == value);
        PodCondition {
            type_: kind.to_owned(),
            status: value.to_owned(),
            last_transition_time: before
                .and_then(|c| c.last_transition_time.clone())
                .or_else(|| Some(Time(now()))),
            reason: (!holds).then(|| "ContainersNotReady".to_owned()),
            ..PodCondition::default()
        }
    };
    let shown = |containers: &[Container]| {
        Some(containers.iter().filter_map(|c| Some(show(c, of(c)?))).collect())
    };
    PodStatus {
        phase: Some(phase.to_owned()),
        conditions: Some(vec![
            condition("PodReadyToStartContainers", true),
            condition("Initialized", initialized),
            condition("Ready", ready),
            condition("ContainersReady", ready),
            condition("PodScheduled", true),
        ]),
        host_ip: Some(host.to_owned()),
        host_ips: Some(vec![HostIP { ip: host.to_owned() }]),
        pod_ip: Some(address.to_owned()),
        pod_ips: Some(vec![PodIP { ip: address.to_owned() }]),
        start_time: old.start_time.or_else(|| Some(Time(now()))),
        qos_class: old.qos_class,
        init_container_statuses: if inits.is_empty() { None } else { shown(inits) },
        container_statuses: shown(apps),
        ..PodStatus::default()
    }
}

fn show(container: &Container, state: &State) -> ContainerStatus {
    let image = container.image.clone().unwrap_or_default();
    ContainerStatus {
        name: container.name.clone(),
        image_id: format!("programs-of-this-machine/{image}"),
        image,
        ready: state.ready || succeeded(state),
        started: Some(state.started),
        restart_count: state.restarts,
        state: Some(state.now.clone()),
        last_state: state.before.clone(),
        ..ContainerStatus::default()
    }
}

fn succeeded(state: &State) -> bool {
    state.now.terminated.as_ref().is_some_and(|end| end.exit_code == 0)
}
