//! A tour of the demo: what is asked of `envoy-configs/chain.yaml` (or `suite.yaml`), and what it promises.

use crate::{Client, Envoy, Request, demo};

/// One request of the tour, and what must come of it.
#[derive(Clone, Debug)]
pub struct Stop {
    /// Who asks.
    pub who: &'static str,
    /// What is sent.
    pub request: Request,
    /// How often; all but the last are only asked, not looked at.
    pub times: u32,
    /// The status that the last gets.
    pub status: u16,
    /// Which filter decides.
    pub filter: &'static str,
    /// Its evidence in the access log: `REASON:RULE` or `REASON`.
    pub evidence: &'static str,
    /// The upstream that answers, if one does.
    pub version: Option<&'static str>,
    /// What happened, in a sentence.
    pub meaning: &'static str,
}

/// What came of a stop.
#[derive(Clone, Debug)]
pub struct Visit {
    /// The status.
    pub status: u16,
    /// The filter's evidence in the access log.
    pub evidence: String,
    /// The upstream that answered, if one did.
    pub version: Option<String>,
    /// Whether all is as promised.
    pub kept: bool,
}

/// The stops, in order, of an Envoy that was just started.
///
/// # Errors
/// When no token can be minted.
pub fn stops() -> Result<Vec<Stop>, String> {
    let ann = demo::token("ann", &[])?;
    let bob = demo::token("bob", &[])?;
    let eve = demo::token("eve", &[])?;
    let admin = demo::token("root", &["admin"])?;
    let forged = demo::forged_token("root", &["admin"])?;
    let stop = |who, request: Request, status, filter, evidence, meaning| Stop {
        who,
        request,
        times: 1,
        status,
        filter,
        evidence,
        version: if status == 200 { Some("v1") } else { None },
        meaning,
    };
    let get = |path: &str, token: &str| Request::get(path).bearer(token);
    let delete = Request::new("DELETE", "/search").bearer(&ann);
    let choosing = get("/checkout/17", &ann).with("x-canary-checkout", "v2");
    Ok(vec![
        stop(
            "nobody",
            Request::get("/"),
            401,
            "authz",
            "unauthenticated:signed-in:0",
            "no token, no entry",
        ),
        stop(
            "a forger",
            get("/", &forged),
            401,
            "authz",
            "signature_invalid",
            "a token, but not the issuer's",
        ),
        stop("ann", get("/", &ann), 200, "authz", "allowed:signed-in:0", "the token is good"),
        stop("ann", delete, 403, "authz", "denied:no-deletes:0", "nobody deletes"),
        stop(
            "ann",
            get("/admin/users", &ann),
            403,
            "authz",
            "not_allowed",
            "not in the group admin",
        ),
        stop(
            "root",
            get("/admin/users", &admin),
            200,
            "authz",
            "allowed:admins:0",
            "in the group admin",
        ),
        stop(
            "ann",
            get("/search", &ann),
            200,
            "ratelimit",
            "admitted:search",
            "the first of five a minute",
        ),
        Stop {
            times: 5,
            ..stop(
                "ann",
                get("/search", &ann),
                429,
                "ratelimit",
                "limited:search",
                "the sixth within the minute",
            )
        },
        stop(
            "bob",
            get("/search", &bob),
            200,
            "ratelimit",
            "admitted:search",
            "everybody has five of their own",
        ),
        stop(
            "ann",
            get("/checkout/17", &ann),
            200,
            "canary",
            "stable:checkout=v1",
            "three quarters stay with v1",
        ),
        stop("ann", choosing, 200, "canary", "stable:checkout=v1", "asking for v2 does not help"),
        Stop {
            version: Some("v2"),
            ..stop(
                "eve",
                get("/checkout/17", &eve),
                200,
                "canary",
                "bucket:checkout=v2",
                "a quarter gets v2, always the same",
            )
        },
        stop(
            "bob",
            get("/checkout/18?x=1", &bob),
            200,
            "telemetry",
            "/checkout/{order}",
            "logged and counted by its route",
        ),
    ])
}

/// A series that the metrics must hold after the tour.
#[derive(Clone, Copy, Debug)]
pub struct Metric {
    /// Its name.
    pub name: &'static str,
    /// Its labels.
    pub labels: &'static [(&'static str, &'static str)],
    /// What it says.
    pub meaning: &'static str,
}

/// The series that the tour leaves.
pub const METRICS: [Metric; 3] = [
    Metric {
        name: "outrigger_authz_decisions_total",
        labels: &[("rule", "no-deletes:0"), ("reason", "denied")],
        meaning: "decisions by rule and reason",
    },
    Metric {
        name: "outrigger_canary_assignments_total",
        labels: &[("rollout", "checkout"), ("variant", "v2")],
        meaning: "assignments by variant",
    },
    Metric {
        name: "http_server_requests_total",
        labels: &[
            ("http_route", "/checkout/{order}"),
            ("http_request_method", "GET"),
            ("outcome", "ok"),
        ],
        meaning: "requests by route",
    },
];

/// Goes to one stop.
///
/// # Errors
/// When Envoy does not answer or does not log.
pub fn visit(envoy: &Envoy, client: &mut Client, stop: &Stop) -> Result<Visit, String> {
    let mut response = client.send(&stop.request)?;
    for _ in 1..stop.times {
        response = client.send(&stop.request)?;
    }
    let line = envoy.access_log().of(&response)?;
    let member = if stop.filter == "telemetry" { "http_route" } else { stop.filter };
    let evidence = line.text(member).unwrap_or_else(|| "-".to_owned());
    let version = version(&response.body);
    let kept = response.status == stop.status
        && evidence == stop.evidence
        && version.as_deref() == stop.version;
    Ok(Visit { status: response.status, evidence, version, kept })
}

/// Which upstream wrote this body, the demo's or a test's.
fn version(body: &[u8]) -> Option<String> {
    let body: serde_json::Value = serde_json::from_slice(body).ok()?;
    body.get("version")?.as_str().map(str::to_owned)
}
