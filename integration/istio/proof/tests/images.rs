//! The images that `outrigger` makes, as other programs and Istio's agent take them.

use proof::Bed;
use serde_json::{Value, json};

#[test]
fn crane_and_skopeo_read_back_what_was_pushed() {
    let bed = Bed::connect().unwrap();
    let image = bed.push("authz").unwrap();
    let (tagged, digest) = image.reference.split_once('@').unwrap();
    let crane = bed.run("crane", &["digest", "--insecure", tagged], "").unwrap();
    assert_eq!(crane.trim(), digest);
    bed.run("crane", &["validate", "--insecure", "--remote", tagged], "").unwrap();
    let source = format!("docker://{tagged}");
    let skopeo = bed.run("skopeo", &["inspect", "--tls-verify=false", &source], "").unwrap();
    let skopeo: Value = serde_json::from_str(&skopeo).unwrap();
    assert_eq!(skopeo["Digest"], digest);
    assert_eq!(skopeo["Layers"].as_array().unwrap().len(), 1, "{skopeo}");
}

#[test]
fn a_signed_image_is_verified_and_pinned_by_its_digest() {
    let bed = Bed::connect().unwrap();
    // A digest that nothing has signed yet, also on a bed that is used again.
    let version = format!("signed-{}", std::process::id());
    let image = bed.push_version("telemetry", &version).unwrap();
    let (_, digest) = image.reference.split_once('@').unwrap();
    let keys = bed.key_pair().unwrap();
    let strangers = bed.key_pair().unwrap();

    let unsigned = bed.verify(&image, &keys).unwrap_err();
    assert!(unsigned.contains("no signatures found"), "{unsigned}");
    bed.sign(&image, &keys).unwrap();
    let verified: Value = serde_json::from_str(&bed.verify(&image, &keys).unwrap()).unwrap();
    assert_eq!(verified[0]["critical"]["image"]["docker-manifest-digest"], digest, "{verified}");
    bed.verify(&image, &strangers).unwrap_err();

    // The signature is of the digest, and the digest is what the manifest pins.
    let mut plugin = bed
        .plugin(
            "telemetry",
            "payments",
            json!({ "failStrategy": "FAIL_CLOSE", "match": [{ "mode": "SERVER" }],
                    "pluginConfig": { "routes": [{ "path": "/signed" }] } }),
        )
        .unwrap();
    plugin["spec"]["url"] = json!(image.url);
    assert!(image.url.ends_with(digest), "{}", image.url);
    let _applied = bed.apply(&plugin).unwrap();
    bed.wait_loaded("payments", &image, "/signed").unwrap();
    bed.wait_for("/signed", &[], |answer| answer.status == 200).unwrap();
}
