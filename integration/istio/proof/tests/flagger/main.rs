//! The real Flagger drives the weights, by what a real Prometheus has of the telemetry filter, while `bucketHeader` keeps
//! every user where the weights put them: over a rollout that goes well, and one that Flagger takes back.

mod mesh;
mod run;

use std::time::{Duration, Instant};

use mesh::Mesh;
use proof::{Bed, Fault};
use run::Run;

/// Flagger takes a step every ten seconds, and a rollout has six.
const DEADLINE: Duration = Duration::from_secs(600);

/// What v2 of checkout is asked for in the rollout that goes wrong.
const BROKEN: [(&str, &str); 1] = [("x-echo-fail", "checkout/v2")];

#[test]
fn flagger_moves_the_weights_by_our_metrics_and_every_user_stays() {
    let bed = Bed::connect().unwrap();
    let flagger = bed.flagger().unwrap();
    let namespaces = ["rollout", "rollback"].map(|name| format!("{name}{}", std::process::id()));
    let [mut good, mut bad] =
        [&namespaces[0], &namespaces[1]].map(|name| Mesh::up(&bed, name).unwrap());
    for mesh in [&mut good, &mut bad] {
        mesh.wait_for_phase("Initialized").unwrap();
        proof::until("v1 for all, by buckets", || {
            let pass = mesh.pass(&[])?;
            pass.each(|seen| seen.status == 200 && seen.version == "v1" && seen.bucket.is_some())
        })
        .unwrap();
    }
    for mesh in [&good, &bad] {
        mesh.release("v2").unwrap();
    }

    let (mut rollout, mut rollback) = (Run::default(), Run::default());
    let begin = Instant::now();
    let ended = |mesh: &Mesh<'_>| -> Result<bool, Fault> {
        Ok(matches!(mesh.phase()?.as_str(), "Succeeded" | "Failed"))
    };
    while !(ended(&good).unwrap() && ended(&bad).unwrap()) {
        assert!(
            begin.elapsed() < DEADLINE,
            "{}\n{}",
            good.events().unwrap(),
            bad.events().unwrap()
        );
        flagger.discover(&[&namespaces[0], &namespaces[1]]).unwrap();
        rollout.add(good.pass(&[]).unwrap()).unwrap();
        rollback.add(bad.pass(&BROKEN).unwrap()).unwrap();
    }

    let said = good.events().unwrap();
    assert_eq!(good.phase().unwrap(), "Succeeded", "{said}");
    for canary in [10, 50] {
        rollout.settled_at(canary).unwrap_or_else(|fault| panic!("{fault}\n{said}"));
    }
    rollout.nobody_left().unwrap();
    for pass in rollout.passes() {
        pass.each(|seen| seen.status == 200).unwrap();
    }
    good.pass(&[]).unwrap().each(|seen| seen.version == "v2").unwrap();

    let said = bad.events().unwrap();
    assert_eq!(bad.phase().unwrap(), "Failed", "{said}");
    assert!(said.contains("advancement server-errors"), "{said}");
    rollback.settled_at(10).unwrap_or_else(|fault| panic!("{fault}\n{said}"));
    for pass in rollback.passes() {
        pass.each(|seen| (seen.status == 500) == (seen.version == "v2")).unwrap();
        pass.each(|seen| seen.version == "v1" || seen.bucket >= Some(90)).unwrap();
    }
    assert_eq!(bad.weights().unwrap(), "100 0");
    proof::until("v1 for all again", || {
        bad.pass(&BROKEN)?.each(|seen| seen.status == 200 && seen.version == "v1")
    })
    .unwrap();
}
