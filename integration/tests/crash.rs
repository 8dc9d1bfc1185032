//! A plugin that crashes does to the others what its failure policy says, and never opens what authz closes.
#![expect(clippy::unwrap_used, reason = "these are tests")]

use integration::plugin::FailurePolicy;
use integration::{Bootstrap, Client, Envoy, Plugin, Request, Upstream, demo};

struct Proxy {
    envoy: Envoy,
    client: Client,
    _upstream: Upstream,
}

/// The chain with the probe before it, one worker.
fn start(policy: FailurePolicy) -> Proxy {
    let upstream = Upstream::start("v1").unwrap();
    let mut bootstrap = Bootstrap::before("chain", &[("v1", upstream.address())]).unwrap();
    let demo = bootstrap.demo().unwrap().with_first(&Plugin::probe(policy)).unwrap();
    bootstrap.set_listeners(vec![demo]).unwrap();
    let envoy = Envoy::start(&bootstrap, 1).unwrap();
    let client = Client::new(envoy.listener("demo").unwrap());
    Proxy { envoy, client, _upstream: upstream }
}

impl Proxy {
    /// The status of a request that crashes the probe; the token is good.
    fn crash(&mut self) -> u16 {
        let request = Request::get("/").bearer(&demo::token("ann", &[]).unwrap());
        let status = self.client.send(&request.with("x-probe", "panic")).unwrap().status;
        assert!(self.envoy.log().contains("panicked"), "the probe did not crash");
        status
    }

    /// The statuses of a request without a token, one that is forbidden and one that is allowed.
    fn statuses(&mut self) -> [u16; 3] {
        let token = demo::token("ann", &[]).unwrap();
        [
            Request::get("/"),
            Request::get("/admin/users").bearer(&token),
            Request::get("/").bearer(&token),
        ]
        .map(|request| self.client.send(&request).unwrap().status)
    }
}

#[test]
fn authz_goes_on_after_a_plugin_that_fails_open_crashed() {
    let mut proxy = start(FailurePolicy::Open);
    assert_eq!(proxy.statuses(), [401, 403, 200]);
    println!("the crashing request itself: {}", proxy.crash());
    for _ in 0..3 {
        assert_eq!(proxy.statuses(), [401, 403, 200]);
    }
}

#[test]
fn nothing_passes_after_a_plugin_that_fails_closed_crashed() {
    let mut proxy = start(FailurePolicy::Closed);
    assert_eq!(proxy.statuses(), [401, 403, 200]);
    println!("the crashing request itself: {}", proxy.crash());
    for _ in 0..3 {
        assert_eq!(proxy.statuses(), [503, 503, 503]);
    }
}

#[test]
fn a_plugin_that_reloads_comes_back_and_nothing_passes_meanwhile() {
    let mut proxy = start(FailurePolicy::Reload);
    assert_eq!(proxy.statuses(), [401, 403, 200]);
    println!("the crashing request itself: {}", proxy.crash());
    let back = integration::poll::until(integration::poll::DEADLINE, "the probe", || {
        let statuses = proxy.statuses();
        assert!(statuses.iter().zip([401, 403, 200]).all(|(now, then)| [503, then].contains(now)));
        (statuses == [401, 403, 200]).then_some(())
    });
    assert_eq!(back, Ok(()));
}
