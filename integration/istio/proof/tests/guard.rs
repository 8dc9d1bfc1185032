//! A version that fails is taken off by the caller's own proxy, and comes back when it is well.

use std::collections::BTreeSet;

use proof::{Bed, Connection, Fault, until};
use serde_json::{Value, json};

/// Whoever this is asked of, version 2 of checkout fails.
const BROKEN: (&str, &str) = ("x-echo-fail", "checkout/v2");
const USERS: usize = 60;
const MIN_REQUESTS: usize = 20;

/// What every user got: how many failed, and who had v2.
fn pass(
    gateway: &mut Connection,
    more: &[(&str, &str)],
) -> Result<(usize, BTreeSet<usize>), Fault> {
    let (mut failed, mut second) = (0, BTreeSet::new());
    for user in 0..USERS {
        let name = format!("u{user}");
        let headers = [&[("x-user", name.as_str())], more].concat();
        let answer = gateway.get("shop.example", "/", &headers)?;
        let version = answer.said(&["next", "body", "version"]);
        match (answer.status, version.as_str()) {
            (200, Some("v1")) => {}
            (200, Some("v2")) => drop(second.insert(user)),
            (500, Some("v2")) => {
                failed += 1;
                second.insert(user);
            }
            (status, _) => return Err(format!("{name}: {status} {}", answer.body)),
        }
    }
    Ok((failed, second))
}

fn counted(bed: &Bed, name: &str, rollout: &str, result: &str) -> Result<f64, Fault> {
    let all = bed.scrape("frontend", name)?;
    let own = all
        .iter()
        .filter(|series| series.label("rollout") == rollout && series.label("result") == result);
    Ok(own.map(|series| series.value).sum())
}

/// The shipped plugin, for half of the users, that makes up its mind sooner.
fn plugin(bed: &Bed, rollout: &str) -> Result<Value, Fault> {
    let mut list = bed.filled_in(&bed.shipped("guard/canary.yaml")?)?;
    let known = list.pointer_mut("/items/0/spec/pluginConfig/rollouts/0").ok_or("no rollout")?;
    let Value::Object(known) = known else { return Err("not a rollout".to_owned()) };
    known.insert("name".to_owned(), json!(rollout));
    known.insert("variants".to_owned(), json!([{ "name": "v2", "weight": 50 }]));
    let Some(Value::Object(guard)) = known.get_mut("guard") else {
        return Err("no guard".to_owned());
    };
    guard.insert("interval".to_owned(), json!("4s"));
    guard.insert("minRequests".to_owned(), json!(MIN_REQUESTS));
    guard.insert("baseEjectionTime".to_owned(), json!("3s"));
    guard.insert("halfOpen".to_owned(), json!({ "weight": 50, "minRequests": 5 }));
    Ok(list)
}

#[test]
fn the_guard_takes_the_bad_subset_off_and_lets_it_back_when_it_is_well() {
    const GUARD: &str = "outrigger_canary_guard_total";
    const ROUTES: &str = "outrigger_canary_routes_total";
    let bed = Bed::connect().unwrap();
    // What a guard has decided outlives the plugin, and belongs to the rollout's name.
    let rollout = format!("guarded-{}", std::process::id());
    let _applied = bed.apply(&plugin(&bed, &rollout).unwrap()).unwrap();
    let image = bed.push("canary").unwrap();
    bed.wait_loaded("frontend", &image, &rollout).unwrap();
    let mut gateway = Connection::to(&bed.gateway().unwrap(), 80);
    let inside = until("v2 for half of the users, twice", || {
        let (one, other) = (pass(&mut gateway, &[])?, pass(&mut gateway, &[])?);
        let half = USERS / 4..USERS * 3 / 4;
        if one == other && half.contains(&one.1.len()) {
            Ok(one.1)
        } else {
            Err(format!("{one:?}, {other:?}"))
        }
    })
    .unwrap();

    let mut failures = 0;
    until("nobody on v2", || {
        let (failed, second) = pass(&mut gateway, &[BROKEN])?;
        failures += failed;
        if second.is_empty() { Ok(()) } else { Err(format!("{second:?}")) }
    })
    .unwrap();
    // Half a second's worth, and what it takes to tell.
    let bearable = 1..=20 * MIN_REQUESTS;
    assert!(
        bearable.contains(&failures),
        "{failures} requests failed before the guard took v2 off"
    );
    until("the guard to be counted", || {
        let ejected = counted(&bed, GUARD, &rollout, "ejected")?;
        if ejected == 1.0 { Ok(()) } else { Err(format!("{ejected} times")) }
    })
    .unwrap();

    until("the same users on v2 again", || {
        let (_, second) = pass(&mut gateway, &[])?;
        if second == inside { Ok(()) } else { Err(format!("{second:?} of {inside:?}")) }
    })
    .unwrap();
    until("the way back to be counted", || {
        let recovered = counted(&bed, GUARD, &rollout, "recovered")?;
        if recovered == 1.0 { Ok(()) } else { Err(format!("{recovered} times")) }
    })
    .unwrap();
    // Each went where it was meant to go, by the names that Istio gives to clusters.
    assert!(counted(&bed, ROUTES, &rollout, "as_meant").unwrap() > 0.0);
    assert_eq!(counted(&bed, ROUTES, &rollout, "elsewhere").unwrap(), 0.0);
}
