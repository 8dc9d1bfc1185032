//! `outrigger package` and `outrigger push`, as far as they need no registry.

#[cfg(test)]
mod support;

use std::fs;

use support::{MODULE, complaint, files, folder, outrigger, printed};

#[test]
fn two_runs_make_the_same_files() {
    let home = folder("two_runs");
    fs::write(home.join("authz.wasm"), MODULE).unwrap();
    let digest = printed(&home, "package authz.wasm --tag a.example/authz:1 -o one", "");
    assert_eq!(printed(&home, "package authz.wasm --tag a.example/authz:1 -o two", ""), digest);
    assert_eq!(files(&home.join("one")), files(&home.join("two")));
    let names: Vec<String> =
        files(&home.join("one")).into_iter().map(|(name, _)| name.display().to_string()).collect();
    assert_eq!(names.len(), 5, "{names:?}");
    assert!(names.contains(&format!("blobs/{}", digest.replace(':', "/"))), "{names:?}");
    assert!(names.contains(&"oci-layout".to_owned()), "{names:?}");
    let index = fs::read_to_string(home.join("one/index.json")).unwrap();
    assert!(
        index.contains(r#""org.opencontainers.image.ref.name":"a.example/authz:1""#),
        "{index}"
    );
}

#[test]
fn the_tag_is_no_part_of_the_digest() {
    let home = folder("tag");
    fs::write(home.join("authz.wasm"), MODULE).unwrap();
    let tagged = printed(&home, "package authz.wasm --tag authz:1", "");
    assert_eq!(printed(&home, "package authz.wasm", ""), tagged);
    assert!(!fs::read_to_string(home.join("authz.oci/index.json")).unwrap().contains("ref.name"));
}

#[test]
fn a_layout_is_replaced_and_anything_else_is_not_touched() {
    let home = folder("replaced");
    fs::write(home.join("authz.wasm"), MODULE).unwrap();
    fs::write(home.join("canary.wasm"), MODULE).unwrap();
    let first = printed(&home, "package authz.wasm -o image", "");
    assert_ne!(printed(&home, "package canary.wasm -o image", ""), first);
    assert_eq!(files(&home.join("image")).len(), 5);

    fs::create_dir(home.join("photos")).unwrap();
    fs::write(home.join("photos/cat.jpg"), "cat").unwrap();
    let (status, told) = complaint(&home, "package authz.wasm -o photos", "");
    assert_eq!(status, 2);
    assert!(told.starts_with("outrigger: photos: it holds something other"), "{told}");
    assert_eq!(files(&home.join("photos")).len(), 1);
}

#[test]
fn what_no_proxy_loads_is_refused() {
    let home = folder("refused");
    fs::write(home.join("script.wasm"), "#!/bin/sh\n").unwrap();
    let types = &MODULE[..14];
    let abort = [types, &b"\x02\x0d\x01\x03env\x05abort\0\0"[..]].concat();
    fs::write(home.join("abort.wasm"), abort).unwrap();
    for (line, status, told) in [
        ("package script.wasm", 1, "outrigger: script.wasm: not a WebAssembly module"),
        ("push script.wasm 127.0.0.1:1/a:1", 1, "outrigger: script.wasm: not a WebAssembly module"),
        ("package abort.wasm", 1, "outrigger: abort.wasm: imports the function env.abort"),
        ("package none.wasm", 2, "outrigger: none.wasm: No such file"),
        ("package script.wasm --tag authz", 2, "outrigger: --tag: `authz` has no tag"),
        ("push script.wasm a.example/b", 2, "outrigger: `a.example/b` has no tag"),
    ] {
        let (found, complaint) = complaint(&home, line, "");
        assert!(complaint.starts_with(told), "{line}: {complaint}");
        assert_eq!(found, status, "{line}");
        assert_eq!(files(&home).len(), 2, "{line}");
    }
}

#[test]
fn a_layout_that_was_touched_is_not_pushed() {
    let home = folder("touched");
    fs::write(home.join("authz.wasm"), MODULE).unwrap();
    let digest = printed(&home, "package authz.wasm", "");
    let manifest = home.join("authz.oci/blobs").join(digest.replace(':', "/"));
    let text = fs::read_to_string(&manifest).unwrap();
    fs::write(&manifest, text.replace("Outrigger", "Somebody")).unwrap();
    let (status, told) = complaint(&home, "push authz.oci 127.0.0.1:1/authz:1", "");
    assert_eq!(
        told,
        format!("outrigger: authz.oci: the blob {digest} is not what its digest says")
    );
    assert_eq!(status, 1);

    printed(&home, "package authz.wasm", "");
    let index = home.join("authz.oci/index.json");
    let mut parsed: serde_json::Value = serde_json::from_slice(&fs::read(&index).unwrap()).unwrap();
    let manifests = parsed["manifests"].as_array_mut().unwrap();
    manifests.push(manifests[0].clone());
    fs::write(&index, parsed.to_string()).unwrap();
    let (status, told) = complaint(&home, "push authz.oci 127.0.0.1:1/authz:1", "");
    let expected = "outrigger: authz.oci: index.json must name one manifest, found 2";
    assert_eq!((status, &*told), (1, expected));

    fs::remove_file(index).unwrap();
    let (status, told) = complaint(&home, "push authz.oci 127.0.0.1:1/authz:1", "");
    assert!(told.starts_with("outrigger: authz.oci: index.json: No such file"), "{told}");
    assert_eq!(status, 2);
}

#[test]
fn a_registry_that_is_not_there_is_told() {
    let home = folder("unreachable");
    fs::write(home.join("authz.wasm"), MODULE).unwrap();
    let closed = "127.0.0.1:1";
    for option in ["", "--plain-http"] {
        let (status, told) =
            complaint(&home, &format!("push authz.wasm {closed}/a:1 {option}"), "");
        let start = format!("outrigger: {closed}/a:1: the registry cannot be reached: Connection");
        assert!(told.starts_with(&start), "{told}");
        assert_eq!((status, told.lines().count()), (2, 1));
    }
}

#[test]
fn what_cannot_be_used_to_get_in_is_told_before_anything_is_sent() {
    let home = folder("credentials");
    fs::write(home.join("authz.wasm"), MODULE).unwrap();
    fs::write(home.join("ca.pem"), "none").unwrap();
    fs::create_dir(home.join(".docker")).unwrap();
    fs::write(home.join(".docker/config.json"), r#"{"auths": {"127.0.0.1:1": {"auth": "!"}}}"#)
        .unwrap();
    let (status, told) = complaint(&home, "push authz.wasm 127.0.0.1:1/a:1 --ca-file ca.pem", "");
    assert_eq!((status, &*told), (2, "outrigger: ca.pem: it holds no certificate in PEM"));
    let (status, told) = complaint(&home, "push authz.wasm 127.0.0.1:1/a:1", "");
    assert!(told.ends_with("the entry for 127.0.0.1:1 is not base64 of USER:PASSWORD"), "{told}");
    assert_eq!(status, 2);
    fs::create_dir(home.join("named")).unwrap();
    fs::write(home.join("named/config.json"), "[").unwrap();
    let (_, told) = complaint(&home, "DOCKER_CONFIG=named push authz.wasm 127.0.0.1:1/a:1", "");
    assert!(told.starts_with("outrigger: named/config.json: it is not JSON"), "{told}");
}

#[test]
fn help_names_both_verbs() {
    let home = folder("help");
    let help = String::from_utf8(outrigger(&home, "--help", "").stdout).unwrap();
    assert!(help.contains("outrigger package") && help.contains("outrigger push"), "{help}");
}
