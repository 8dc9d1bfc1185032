//! Decided at the gateway, and believed further on: two hops behind the first application the caller's own proxy still takes
//! the route, though applications hand on `baggage` and nothing else.

use std::collections::BTreeMap;

use proof::{Answer, Bed, Connection, Fault, until};
use serde_json::Value;

/// What a client says of its version is worth nothing, in either place; what else is in its baggage is not ours.
const CLIENT: [(&str, &str); 2] =
    [("x-canary-checkout", "v2"), ("baggage", "color=blue,outrigger.canary=checkout:v2")];
const CHECKOUT: [&str; 2] = ["next", "body"];
const PAYMENTS: [&str; 4] = ["next", "body", "next", "body"];

fn said(answer: &Answer, hop: &[&str], what: &[&str]) -> Value {
    answer.said(&[hop, what].concat())
}

/// The version that the gateway decided on, if every hop holds to it and was told of it by baggage alone.
fn decided(answer: &Answer) -> Result<Value, Fault> {
    let drawn = said(answer, &[], &["headers", "x-canary-checkout"]);
    let handed_on = drawn.as_str().map(|version| {
        let member = format!("outrigger.canary=checkout:{version}");
        [&CHECKOUT[..], &PAYMENTS].into_iter().all(|hop| {
            let baggage = said(answer, hop, &["headers", "baggage"]);
            let members: Vec<&str> = baggage.as_str().unwrap_or_default().split(',').collect();
            members.contains(&"color=blue")
                && members.contains(&member.as_str())
                && said(answer, hop, &["headers", "x-user"]).is_null()
                && said(answer, hop, &["headers", "x-canary-checkout"]) == drawn
                && said(answer, hop, &["version"]) == drawn
        })
    });
    match handed_on {
        Some(true) if answer.status == 200 => Ok(drawn),
        _ => Err(format!("{} {}", answer.status, answer.body)),
    }
}

#[test]
fn what_the_gateway_decided_holds_two_hops_further_behind_applications_that_forward_only_baggage() {
    let bed = Bed::connect().unwrap();
    let namespace = format!("carried{}", std::process::id());
    let scratch = bed.scratch("carried", "carried", &namespace).unwrap();
    scratch.place.wait_deployed().unwrap();
    let mut gateway = Connection::to(&bed.gateway().unwrap(), 80);
    let host = format!("{namespace}.example");
    let mut ask =
        |user: &str| gateway.get(&host, "/", &[&[("x-user", user)], CLIENT.as_slice()].concat());
    let mut pass = || -> Result<BTreeMap<usize, Value>, Fault> {
        (0..20).map(|user| Ok((user, decided(&ask(&format!("u{user}"))?)?))).collect()
    };

    let users = until("one version for each user, at every hop", &mut pass).unwrap();
    let second = users.values().filter(|version| **version == "v2").count();
    assert!((1..20).contains(&second), "{second} of 20 users got v2: {users:?}");
    assert_eq!(pass().unwrap(), users);
}
