//! `outrigger check --running` and `outrigger preview-token`.

#[cfg(test)]
mod support;

use std::fs;

use support::{complaint, folder, printed};

const CANARY: &str = r#"
signingKeys: [{ id: k, secret: YW4gZXhhbXBsZSBvZiBhIHNlY3JldCBvZiAzMiBieXQ= }]
rollouts:
  - name: checkout
    header: x-checkout
    key: [{ header: x-user }]
    overrides: [{ token: { header: x-preview } }]
    variants: [{ name: v2, weight: 5 }]
"#;

#[test]
fn a_change_by_which_somebody_loses_their_variant_is_refused() {
    let home = folder("rollouts_running");
    fs::write(home.join("running.yaml"), CANARY).unwrap();
    fs::write(home.join("more.yaml"), CANARY.replace("weight: 5", "weight: 50")).unwrap();
    let less = CANARY.replace("weight: 5", "weight: 4").replace("name: checkout", "name: pay");
    fs::write(home.join("less.yaml"), &less).unwrap();
    let said = less.replace("name: pay", "name: pay\n    bucketVersion: 1");
    fs::write(home.join("said.yaml"), said).unwrap();
    fs::write(home.join("broken.yaml"), "rollouts: []").unwrap();
    let told = printed(&home, "check canary more.yaml --running running.yaml", "");
    assert!(told.ends_with("; everybody keeps their variant"), "{told}");
    let (status, faults) = complaint(&home, "check canary less.yaml --running running.yaml", "");
    assert_eq!(status, 1);
    let faults: Vec<&str> = faults.lines().collect();
    assert_eq!(faults.len(), 2, "{faults:?}");
    assert!(faults[0].starts_with("canary: configuration refused at \"/rollouts/0/salt\": "));
    assert!(faults[1].starts_with("canary: configuration refused at \"/rollouts/0/variants/0\": "));
    printed(&home, "check canary said.yaml --running running.yaml", "");
    let (status, broken) = complaint(&home, "check canary more.yaml --running broken.yaml", "");
    assert_eq!(status, 1);
    assert!(broken.starts_with("broken.yaml: canary: configuration refused at"), "{broken}");
    assert_eq!(complaint(&home, "check canary more.yaml --running absent.yaml", "").0, 2);
}

#[test]
fn a_token_is_for_what_is_there() {
    let home = folder("rollouts_token");
    fs::write(home.join("canary.yaml"), CANARY).unwrap();
    let token = printed(&home, "preview-token canary.yaml checkout v2 --expires-in 8h", "");
    let fields: Vec<&str> = token.trim().split(':').collect();
    assert_eq!(
        (fields[0], fields[1], fields[3], fields[4]),
        ("checkout", "v2", "", "k"),
        "{token}"
    );
    let (status, refusal) =
        complaint(&home, "preview-token canary.yaml checkout v3 --expires-in 8h", "");
    assert_eq!(status, 1);
    assert!(refusal.contains("expected a version `v3`"), "{refusal}");
}
