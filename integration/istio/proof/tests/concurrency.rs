//! So many requests of a key at the same time, through gateway and sidecar: whoever comes while all places are taken is
//! refused, and a place comes back when its request is over, or its client has left.

use proof::{Bed, Begun, Connection, Fault, until};
use serde_json::json;

#[test]
fn a_third_request_at_the_same_time_is_refused_until_a_place_comes_back() {
    let bed = Bed::connect().unwrap();
    let plugin = bed
        .plugin(
            "ratelimit",
            "frontend",
            json!({
                "phase": "AUTHZ", "failStrategy": "FAIL_RELOAD", "match": [{ "mode": "SERVER" }],
                "pluginConfig": { "rules": [{
                    "name": "at-once", "key": [{ "header": "x-tenant" }], "missingKey": "deny",
                    "concurrency": { "maxRequests": 2 },
                }] },
            }),
        )
        .unwrap();
    let _applied = bed.apply(&plugin).unwrap();
    // Without a key every request is refused, once the plugin is on every connection.
    bed.settle("/reports", 429).unwrap();

    let gateway = bed.gateway().unwrap();
    let tenant = [("x-tenant", "acme")];
    let begin = || -> Result<Begun, Fault> {
        Connection::to(&gateway, 80).begin("shop.example", "/reports", &tenant)
    };
    let wait_for = |what: &str, status: u16, details: &str| {
        until(what, || {
            let answer = bed.get("/reports", &tenant)?;
            let told = answer.status == status && answer.body.contains(details);
            if told { Ok(()) } else { Err(format!("{} {}", answer.status, answer.body)) }
        })
    };
    let (one, other) = (begin().unwrap(), begin().unwrap());
    wait_for("a refusal", 429, "local_rate_limited").unwrap();
    assert_eq!(bed.get("/reports", &[("x-tenant", "umbrella")]).unwrap().status, 200);

    assert_eq!(one.finish().unwrap().status, 200);
    wait_for("the place of the one that is over", 200, "frontend").unwrap();
    let third = begin().unwrap();
    wait_for("a refusal again", 429, "local_rate_limited").unwrap();
    drop(other);
    wait_for("the place of the client that left", 200, "frontend").unwrap();
    assert_eq!(third.finish().unwrap().status, 200);
}
