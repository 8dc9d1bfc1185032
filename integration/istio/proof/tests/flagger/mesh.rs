//! `integration/istio/flagger` in a namespace of its own.

use proof::{Answer, Bed, Connection, Fault, Scratch, until};
use serde_json::Value;

use crate::run::{Pass, Seen};

/// How many users there are.
pub(crate) const USERS: usize = 60;

/// frontend → checkout, whose weights Flagger moves; deleted when dropped.
pub(crate) struct Mesh<'a> {
    scratch: Scratch<'a>,
    frontend: Connection,
}

impl<'a> Mesh<'a> {
    pub(crate) fn up(bed: &'a Bed, namespace: &str) -> Result<Self, Fault> {
        let scratch = bed.scratch("flagger", "demo", namespace)?;
        let frontend = Connection::to(&scratch.place.address("frontend")?, 8080);
        Ok(Self { scratch, frontend })
    }

    /// Asks as this user, who would have the canary if asking for it helped.
    pub(crate) fn ask(&mut self, user: &str, more: &[(&str, &str)]) -> Result<Answer, Fault> {
        let headers = [&[("x-user", user), ("x-checkout-bucket", "99")], more].concat();
        self.frontend.get("frontend:8080", "/checkout/1", &headers)
    }

    /// What the Canary's status says of its rollout.
    pub(crate) fn phase(&self) -> Result<String, Fault> {
        self.scratch
            .place
            .kubectl(&["get", "canary", "checkout", "-o", "jsonpath={.status.phase}"], "")
    }

    pub(crate) fn wait_for_phase(&self, wanted: &str) -> Result<(), Fault> {
        until(&format!("the canary to be {wanted}"), || {
            let phase = self.phase()?;
            if phase == wanted { Ok(()) } else { Err(phase) }
        })
    }

    /// The weights of primary and canary, where there are any.
    pub(crate) fn weights(&self) -> Result<String, Fault> {
        let weights = "jsonpath={.spec.http[0].route[*].weight}";
        let get = ["get", "virtualservice", "checkout", "--ignore-not-found", "-o", weights];
        self.scratch.place.kubectl(&get, "")
    }

    /// Puts another version into the Deployment that Flagger watches.
    pub(crate) fn release(&self, version: &str) -> Result<(), Fault> {
        let set = ["set", "env", "deployment/checkout", &format!("VERSION={version}")];
        self.scratch.place.kubectl(&set, "").map(drop)
    }

    /// Asks as every user, once.
    pub(crate) fn pass(&mut self, more: &[(&str, &str)]) -> Result<Pass, Fault> {
        let before = self.weights()?;
        let mut seen = Vec::new();
        for user in 0..USERS {
            let answer = self.ask(&format!("u{user}"), more)?;
            let said = |path: &[&str]| answer.said(&[&["next", "body"], path].concat());
            let bucket = said(&["headers", "x-checkout-bucket"]);
            seen.push(Seen {
                status: answer.status,
                version: said(&["version"]).as_str().unwrap_or(&answer.body).to_owned(),
                bucket: bucket.as_str().and_then(|bucket| bucket.parse().ok()),
            });
        }
        let after = self.weights()?;
        Ok(Pass { weights: (before == after).then_some(after), seen })
    }

    /// What Flagger has said of the canary.
    pub(crate) fn events(&self) -> Result<String, Fault> {
        let events = self.scratch.place.kubectl(&["get", "events", "-o", "json"], "")?;
        let events: Value = serde_json::from_str(&events).map_err(|error| error.to_string())?;
        let of_flagger = |event: &&Value| {
            event.pointer("/source/component").is_some_and(|component| component == "flagger")
        };
        let items = events.get("items").and_then(Value::as_array);
        let messages = items.into_iter().flatten().filter(of_flagger);
        Ok(messages
            .filter_map(|event| event.get("message")?.as_str())
            .collect::<Vec<_>>()
            .join("\n"))
    }
}
