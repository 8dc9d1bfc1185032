//! Plugins whose image the agent cannot have.

use proof::{Bed, Callees, Fault, Strategy, Watch, until};
use serde_json::json;

use crate::{StandIn, limit, with};

const NOBODYS_DIGEST: &str = "0000000000000000000000000000000000000000000000000000000000000000";

/// One way not to get an image.
struct Case {
    spec: serde_json::Value,
    /// What the agent's line says of it.
    says: String,
    /// How `istio_agent_wasm_remote_fetch_count` counts it; not at all, if nothing was asked of a registry.
    result: Option<&'static str>,
}

/// Gives the callees their plugins, and waits until they decide.
fn decide(callees: &Callees<'_>, good: &serde_json::Value) -> Result<(), Fault> {
    callees.apply_all(good)?;
    for strategy in Strategy::ALL {
        callees.settle(strategy, 429)?;
    }
    Ok(())
}

/// The callees decide by their plugins; then the case; then the plugins again.
fn prove(callees: &Callees<'_>, good: &serde_json::Value, case: &Case) -> Result<(), Fault> {
    let watches = Watch::all(callees)?;
    callees.apply_all(&case.spec)?;
    for watch in &watches {
        let expected = StandIn::of(watch.strategy());
        let answer = callees.settle(watch.strategy(), expected.status)?;
        assert!(answer.body.contains(expected.body), "{}: {}", case.says, answer.body);
        let log = watch.log()?;
        let lines = ["error\twasm\terror in converting the wasm config to local", expected.log];
        assert!(lines.iter().all(|line| log.contains(line)), "{}: {log}", case.says);
        assert!(log.contains(&case.says), "{}: {log}", case.says);

        let conversions =
            watch.grown("istio_agent_wasm_config_conversion_count", r#"result="fetch_failure""#)?;
        assert!(conversions >= 1.0, "{}", case.says);
        if let Some(result) = case.result {
            let label = format!("result=\"{result}\"");
            let fetches = watch.grown("istio_agent_wasm_remote_fetch_count", &label)?;
            assert!(fetches >= 1.0, "{}", case.says);
        }
        // Neither the proxy nor istiod takes it for a failure, and nor does Kubernetes.
        for quiet in ["update_rejected", "config_fail"] {
            assert_eq!(watch.grown_discovery(quiet)?, 0.0, "{}", case.says);
        }
        assert_eq!(watch.grown_in_istiod("pilot_total_xds_rejects", "")?, 0.0, "{}", case.says);
        assert!(watch.still_ready()?, "{}", case.says);
    }
    decide(callees, good)?;
    for watch in &watches {
        assert!(watch.still_ready()?, "{}", case.says);
    }
    Ok(())
}

#[test]
fn an_image_that_cannot_be_had_is_a_deny_or_an_allow_until_the_plugin_is_mended()
-> Result<(), Fault> {
    let bed = Bed::connect()?;
    let callees = Callees::new(&bed)?;
    let image = bed.push("ratelimit")?;
    let tagged = image.url.split('@').next().unwrap_or_default();
    let case = |url: &str, says: &str, result| Case {
        spec: limit(url),
        says: says.to_owned(),
        result: Some(result),
    };
    let nobody = format!("oci://{}/nobody/nothing:1", bed.beside_the_registry(5999));
    let layer = "application/vnd.module.wasm.content.layer.v1+wasm";
    let mut cases = vec![
        case(
            &bed.push_artifact("ratelimit", "raw", layer)?,
            "could not parse as oci variant: number of layers must be 2 but got 1",
            "download_failure",
        ),
        case(
            &bed.push_artifact("ratelimit", "cncf", "application/wasm")?,
            "could not parse as compat variant: invalid media type application/wasm",
            "download_failure",
        ),
        case(
            &bed.push_index(&image)?,
            &format!("has checksum {}, which does not match", image.digest),
            "checksum_mismatched",
        ),
        case(&nobody, "connect: connection refused", "manifest_failure"),
        case("oci://registry.nowhere.test/nobody/nothing:1", "no such host", "manifest_failure"),
        case(&format!("{tagged}@sha256:{NOBODYS_DIGEST}"), "MANIFEST_UNKNOWN", "manifest_failure"),
    ];
    cases.push(Case {
        spec: with(limit(tagged), json!({ "sha256": NOBODYS_DIGEST })),
        says: format!("which does not match: {NOBODYS_DIGEST}"),
        result: Some("checksum_mismatched"),
    });
    decide(&callees, &limit(&image.url))?;
    cases.iter().try_for_each(|case| prove(&callees, &limit(&image.url), case))
}

#[test]
fn a_registry_with_a_lock_needs_the_right_secret_and_a_realm_that_is_an_address()
-> Result<(), Fault> {
    let bed = Bed::connect()?;
    let callees = Callees::new(&bed)?;
    let image = bed.push("ratelimit")?;
    let at = |port| {
        let host = bed.beside_the_registry(port);
        (format!("oci://{host}/outrigger/ratelimit@sha256:{}", image.digest), host)
    };
    let ((url, host), (plain_url, plain_host)) = (at(5001), at(5002));
    let puller = std::env::var("BED_PULLER").map_err(|error| error.to_string())?;
    let (name, password) = puller.split_once(':').unwrap_or_default();
    for (secret, server, password) in [
        ("right", &host, password),
        ("wrong", &host, "guessed"),
        ("right-too", &plain_host, password),
    ] {
        callees.kubectl(&["delete", "secret", "--ignore-not-found", secret])?;
        callees.kubectl(&[
            "create",
            "secret",
            "docker-registry",
            secret,
            &format!("--docker-server={server}"),
            &format!("--docker-username={name}"),
            &format!("--docker-password={password}"),
        ])?;
    }
    let case = |url: &str, secret: Option<&str>, says: &str, result| Case {
        spec: match secret {
            Some(secret) => with(limit(url), json!({ "imagePullSecret": secret })),
            None => limit(url),
        },
        says: says.to_owned(),
        result,
    };
    let unauthorized = "UNAUTHORIZED: authentication required";
    let missing = "missing image pulling secret";
    let realm = "rejected unsafe bearer realm: realm scheme \"\" not allowed";
    let good = limit(&image.url);
    decide(&callees, &good)?;
    for case in [
        case(&url, None, unauthorized, Some("manifest_failure")),
        case(&url, Some("nobody"), missing, None),
        case(&url, Some("wrong"), unauthorized, Some("manifest_failure")),
        case(&plain_url, Some("right-too"), realm, Some("manifest_failure")),
    ] {
        prove(&callees, &good, &case)?;
    }

    let watches = Watch::all(&callees)?;
    callees.apply_all(&with(limit(&url), json!({ "imagePullSecret": "right" })))?;
    for watch in watches {
        // The plugin that was there decides alike, so the pull itself is looked for.
        until("the pull with the secret", || {
            let pulled =
                watch.grown("istio_agent_wasm_remote_fetch_count", r#"result="success""#)?;
            if pulled > 0.0 { Ok(()) } else { watch.log().and_then(Err) }
        })?;
        callees.settle(watch.strategy(), 429)?;
        assert!(!watch.log()?.contains("error\twasm"), "{}", watch.log()?);
    }
    Ok(())
}

#[test]
fn a_pod_that_starts_without_the_image_is_ready_and_nobody_asks_for_the_image_again()
-> Result<(), Fault> {
    let bed = Bed::connect()?;
    let mut callees = Callees::new(&bed)?;
    let image = bed.push("ratelimit")?;
    // A tag that nothing has yet, also on a bed that is used again.
    let late = format!("outrigger/late:t{}", std::process::id());
    callees.apply_all(&limit(&format!("oci://{}/{late}", bed.beside_the_registry(5000))))?;
    callees.restart()?;
    let stands_in = |strategy| {
        let expected = StandIn::of(strategy);
        let answer = callees.settle(strategy, expected.status)?;
        assert!(answer.body.contains(expected.body), "{}", answer.body);
        Ok::<_, Fault>(())
    };
    let watches = Watch::all(&callees)?;
    for watch in &watches {
        stands_in(watch.strategy())?;
        assert!(watch.still_ready()?);
        if watch.strategy() != Strategy::Open {
            let denied = "envoy_http_rbac_wasm_default_deny_denied";
            assert!(watch.grown(denied, "")? >= 20.0, "{denied}");
            callees.ask(watch.strategy(), "/denied", &[])?;
            let line = watch.wait_line(&["\"path\":\"/denied\""])?;
            let details = r#""response_code_details":"rbac_access_denied_matched_policy[none]""#;
            assert!(line.contains(details) && line.contains(r#""response_flags":"-""#), "{line}");
        }
    }
    bed.copy(&image, &late)?;
    for watch in &watches {
        stands_in(watch.strategy())?;
        assert_eq!(watch.grown("istio_agent_wasm_remote_fetch_count", "")?, 0.0);
    }
    callees.touch()?;
    for watch in &watches {
        callees.settle(watch.strategy(), 429)?;
        assert!(watch.still_ready()?);
    }
    Ok(())
}
