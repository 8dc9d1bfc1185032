//! A proxy between two versions, and everybody who asks it.

use integration::{Bootstrap, Client, Envoy, Listener, Request, Upstream, poll};
use serde_json::{Value, json};

/// Enough that every worker has some.
pub(crate) const CONNECTIONS: usize = 16;
pub(crate) const USERS: usize = 40;

/// Half of the users, a guard that is quick, and the routes to both versions.
pub(crate) fn guarded(guard: &Value) -> Value {
    json!({"rollouts": [{
        "name": "checkout",
        "header": "x-canary-checkout",
        "key": [{"header": "x-user"}],
        "stable": "v1",
        "variants": [{"name": "v2", "weight": 50}],
        "guard": guard,
        "routes": [{"version": "v1", "cluster": "v1"}, {"version": "v2", "cluster": "v2"}],
    }]})
}

pub(crate) fn quick() -> Value {
    json!({
        "interval": "5s",
        "minRequests": 50,
        "errors": {"max": 10, "overStable": 5},
        "baseEjectionTime": "1s",
        "halfOpen": {"weight": 30, "minRequests": 10},
    })
}

pub(crate) struct Proxy {
    pub(crate) envoy: Envoy,
    pub(crate) clients: Vec<Client>,
    pub(crate) v1: Upstream,
    pub(crate) v2: Upstream,
}

impl Proxy {
    /// A proxy whose routes lead to v1 and v2 by the header, with this configuration.
    pub(crate) fn start(
        document: &Value,
        workers: u32,
        change: impl FnOnce(Listener) -> Listener,
    ) -> Self {
        let (v1, v2) = (Upstream::start("v1").unwrap(), Upstream::start("v2").unwrap());
        let upstreams = [("v1", v1.address()), ("v2", v2.address())];
        let mut bootstrap = Bootstrap::before("canary-guard", &upstreams).unwrap();
        let demo = bootstrap.demo().unwrap();
        let demo = demo.configure("canary", "canary", &document.to_string()).unwrap();
        bootstrap.set_listeners(vec![change(demo)]).unwrap();
        let envoy = Envoy::start(&bootstrap, workers).unwrap();
        let address = envoy.listener("demo").unwrap();
        let clients = (0..CONNECTIONS).map(|_| Client::new(address)).collect();
        Self { envoy, clients, v1, v2 }
    }

    /// Every user asks once on every connection. Tells how many were answered by v2.
    pub(crate) fn round(&mut self) -> usize {
        let users = || (0..USERS).map(|user| Request::get("/").with("x-user", format!("u{user}")));
        let answers = self.clients.iter_mut().flat_map(|client| {
            users().map(|request| client.send(&request).unwrap()).collect::<Vec<_>>()
        });
        answers
            .filter(|answer| answer.header("x-upstream-version").as_deref() == Some("v2"))
            .count()
    }

    /// Asks until a whole round is answered by v2 so often.
    pub(crate) fn until(&mut self, answers: usize) {
        let what = format!("{answers} answers of v2");
        poll::until(poll::DEADLINE, &what, || (self.round() == answers).then_some(())).unwrap();
    }

    /// Asks as somebody who gets v2 until v1 answers on every connection. Shorter than a round, which on a slow machine
    /// outlasts an ejection.
    pub(crate) fn until_off(&mut self) {
        let request = Request::get("/").with("x-user", "u1");
        poll::until(poll::DEADLINE, "v2 to be off", || {
            let versions = self.clients.iter_mut().map(|client| {
                client.send(&request).unwrap().header("x-upstream-version").unwrap_or_default()
            });
            versions.collect::<Vec<_>>().iter().all(|version| version == "v1").then_some(())
        })
        .unwrap();
    }

    pub(crate) fn events(&self, result: &str) -> u64 {
        let labels = [("rollout", "checkout"), ("variant", "v2"), ("result", result)];
        self.envoy.admin().metric("outrigger_canary_guard_total", &labels).unwrap()
    }

    pub(crate) fn decisions(&self, reason: &str) -> u64 {
        let labels = [("rule", "checkout"), ("reason", reason)];
        self.envoy.admin().metric("outrigger_canary_decisions_total", &labels).unwrap()
    }

    pub(crate) fn routes(&self, variant: &str, result: &str) -> u64 {
        let labels = [("rollout", "checkout"), ("variant", variant), ("result", result)];
        self.envoy.admin().metric("outrigger_canary_routes_total", &labels).unwrap()
    }

    pub(crate) fn busy_workers(&self) -> usize {
        let stats = self.envoy.admin().stats("worker_").unwrap();
        let busy = |(name, value): &(&String, &u64)| {
            name.starts_with("listener.") && name.ends_with(".downstream_cx_total") && **value > 0
        };
        stats.iter().filter(busy).count()
    }
}
