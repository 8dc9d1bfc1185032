//! `outrigger push` against a real registry, read back by another program. `make images-test` runs these, as they need
//! Debian's docker-registry and skopeo.

#[cfg(test)]
#[path = "support/registry.rs"]
mod server;
#[cfg(test)]
mod support;

use std::fs;

use server::{PASSWORD, Registry, USERNAME, skopeo};
use support::{MODULE, complaint, files, folder, printed};

#[test]
#[ignore = "needs docker-registry and skopeo: make images-test"]
fn what_comes_back_is_what_was_pushed() {
    let home = folder("registry_open");
    let registry = Registry::open(&home);
    let reference = format!("{}/mesh/authz:0.1.0", registry.address);
    fs::write(home.join("authz.wasm"), MODULE).unwrap();
    let digest = printed(&home, &format!("package authz.wasm --tag {reference}"), "");

    let push = format!("push authz.oci {reference} --plain-http");
    let pinned = format!("{reference}@{digest}");
    assert_eq!(printed(&home, &push, ""), pinned);
    // A second time finds everything there, and a module makes the image that its folder holds.
    assert_eq!(printed(&home, &push, ""), pinned);
    assert_eq!(printed(&home, &push.replace(".oci", ".wasm"), ""), pinned);

    let copy = "copy --src-tls-verify=false --preserve-digests";
    skopeo(&home, &format!("{copy} docker://{reference} oci:back:{reference}"));
    let blobs = |folder: &str| files(&home.join(folder).join("blobs"));
    assert_eq!(blobs("back"), blobs("authz.oci"));
    assert_eq!(blobs("back").len(), 3);

    let by_digest = format!("{}/mesh/authz@{digest}", registry.address);
    let raw = skopeo(&home, &format!("inspect --tls-verify=false --raw docker://{by_digest}"));
    let manifest = home.join("authz.oci/blobs").join(digest.replace(':', "/"));
    assert_eq!(raw.stdout, fs::read(manifest).unwrap());
    let inspected = skopeo(&home, &format!("inspect --tls-verify=false docker://{reference}"));
    let inspected = String::from_utf8(inspected.stdout).unwrap();
    for expected in [&format!(r#""Digest": "{digest}""#), r#""Os": "linux""#] {
        assert!(inspected.contains(expected), "{expected}: {inspected}");
    }
}

#[test]
#[ignore = "needs docker-registry and skopeo: make images-test"]
fn a_mirror_that_converts_images_keeps_the_layer() {
    let home = folder("registry_mirror");
    let registry = Registry::open(&home);
    let reference = format!("{}/authz:1", registry.address);
    fs::write(home.join("authz.wasm"), MODULE).unwrap();
    printed(&home, &format!("push authz.wasm {reference} --plain-http"), "");
    let tls = "--src-tls-verify=false --dest-tls-verify=false";
    let mirror = format!("{}/mirror/authz:1", registry.address);
    skopeo(&home, &format!("copy {tls} --format v2s2 docker://{reference} docker://{mirror}"));
    let raw = |of: &str| {
        let output = skopeo(&home, &format!("inspect --tls-verify=false --raw docker://{of}"));
        serde_json::from_slice::<serde_json::Value>(&output.stdout).unwrap()
    };
    let (ours, theirs) = (raw(&reference), raw(&mirror));
    // The one type of layer that Istio's agent takes in an image of this kind.
    assert_eq!(
        theirs["layers"][0]["mediaType"],
        "application/vnd.docker.image.rootfs.diff.tar.gzip"
    );
    assert_eq!(theirs["layers"][0]["digest"], ours["layers"][0]["digest"]);
}

#[test]
#[ignore = "needs docker-registry and skopeo: make images-test"]
fn a_locked_registry_opens_for_its_keeper_only() {
    let home = folder("registry_locked");
    let registry = Registry::locked(&home);
    let reference = format!("{}/authz:1", registry.address);
    fs::write(home.join("authz.wasm"), MODULE).unwrap();
    let push = format!("push authz.wasm {reference}");
    let trusting = format!("{push} --ca-file authority/ca.crt");
    let login = format!("--username {USERNAME} --password-stdin");

    for (line, input, told) in [
        (push.clone(), "", "the registry cannot be reached: invalid peer certificate"),
        (format!("{push} --plain-http"), "", "the registry does not take it (status 400)"),
        (trusting.clone(), "", "not authorized (status 401"),
        (format!("{trusting} {login}"), "wrong", "not authorized (status 401"),
    ] {
        let (status, complaint) = complaint(&home, &line, input);
        let start = format!("outrigger: {reference}: {told}");
        assert!(complaint.starts_with(&start), "{line}: {complaint}");
        assert_eq!((status, complaint.lines().count()), (2, 1), "{line}: {complaint}");
        assert!(!complaint.contains(PASSWORD));
    }

    let pinned = printed(&home, &format!("{trusting} {login}"), &format!("{PASSWORD}\n"));
    let creds = format!("--creds {USERNAME}:{PASSWORD} --cert-dir authority");
    let inspected = skopeo(&home, &format!("inspect {creds} docker://{reference}"));
    let digest = pinned.split_once('@').unwrap().1;
    assert!(String::from_utf8(inspected.stdout).unwrap().contains(digest));
}

#[test]
#[ignore = "needs docker-registry and skopeo: make images-test"]
fn the_file_of_the_container_tools_opens_it_too() {
    let home = folder("registry_login");
    let registry = Registry::locked(&home);
    fs::write(home.join("authz.wasm"), MODULE).unwrap();
    let login = format!("-u {USERNAME} -p {PASSWORD} --cert-dir authority");
    // Another program writes it, just where we look for it.
    let file = "--authfile .docker/config.json";
    skopeo(&home, &format!("login {login} {file} {}", registry.address));
    let push = format!("push authz.wasm {}/authz:1 --ca-file authority/ca.crt", registry.address);
    assert!(printed(&home, &push, "").contains("@sha256:"));
}

#[test]
#[ignore = "needs docker-registry and skopeo: make images-test"]
fn a_server_that_keeps_no_images_is_told() {
    let home = folder("registry_elsewhere");
    let registry = Registry::elsewhere(&home);
    let reference = format!("{}/authz:1", registry.address);
    fs::write(home.join("authz.wasm"), MODULE).unwrap();
    let (status, told) = complaint(&home, &format!("push authz.wasm {reference} --plain-http"), "");
    let start = format!("outrigger: {reference}: not found");
    assert!(told.starts_with(&start), "{told}");
    assert_eq!((status, told.lines().count()), (2, 1));
    // The other way around: TLS to a registry that speaks plain HTTP.
    let (status, told) = complaint(&home, &format!("push authz.wasm {reference}"), "");
    assert!(told.ends_with("; if it speaks plain HTTP, say --plain-http"), "{told}");
    assert_eq!(status, 2);
}
