//! What is measured: every scenario as data.

use serde_json::Value;

use crate::bench::asks::{Ask, everybody, fresh, unproven};
use crate::bench::cast::{DROUGHT, PLENTY, V1};
use crate::bench::native::{self, TokenCache};
use crate::bench::ours;
use crate::bench::routes::Routes;
use crate::bench::scenario::{Link, Scenario};

/// More tokens than Envoy's cache of them holds unless told otherwise.
const FRESH: usize = 128;

/// Nothing at all: what every request costs without a filter.
pub const NONE: &str = "no filter";
/// A filter that does nothing: what every wasm filter costs.
pub const NOOP: &str = "no-op";
/// The host calls of authz, and nothing else.
const AUTHZ_CALLS: &str = "floor: authz";
/// The same, with a signature to verify.
const RS256_CALLS: &str = "floor: authz, RS256";
const ES256_CALLS: &str = "floor: authz, ES256";
/// The host calls of ratelimit, and nothing else.
const RATELIMIT_CALLS: &str = "floor: ratelimit";
/// The host calls of canary, and nothing else.
const CANARY_CALLS: &str = "floor: canary";
/// Those of canary where no rollout is meant.
const HEADERS_CALL: &str = "floor: canary, none";
/// The host calls of telemetry's metrics by tenant and with durations, and nothing else.
const TELEMETRY_CALLS: &str = "floor: telemetry";
/// Those of telemetry in filter state.
const STATE_CALLS: &str = "floor: telemetry, filter state";
/// Nothing, where weighted clusters must end in `fault`.
const NONE_BUT_FAULT: &str = "no filter, fault";

/// All scenarios.
#[must_use]
pub fn scenarios() -> Vec<Scenario> {
    let welcome = everybody("GET", |_| V1);
    let versions = everybody("GET", |user| user.version);
    let forbidden = everybody("DELETE", |_| 403);
    let limited = everybody("GET", |_| 429);
    let hot: Vec<Ask> = welcome.iter().take(1).cloned().collect();
    let fresh_rs256 = fresh("rs256", FRESH, V1);
    let fresh_es256 = fresh("es256", FRESH, V1);
    let guarded: Vec<Ask> = unproven(401).into_iter().chain(forbidden.clone()).collect();

    let plain = |name, chain, links: Vec<Link>| Scenario {
        name,
        chain,
        links,
        routes: Routes::ByHeader,
        logger: None,
        asks: welcome.clone(),
        probes: Vec::new(),
        witness: None,
        floor: Some(NONE),
        native: None,
        calls: None,
    };
    let noop = || Link::Ours(ours::noop());
    let bare = |name, job| plain(name, "host calls", vec![Link::Ours(ours::floor(job))]);
    let calls = |name, job| Scenario { witness: Some("floor_total"), ..bare(name, job) };
    let authz = |name, native, cache, asks: &Vec<Ask>| Scenario {
        asks: asks.clone(),
        probes: guarded.clone(),
        native: Some(native),
        ..plain(name, "authz", vec![Link::Ours(ours::authz(cache))])
    };
    let native_authz = |name, cache, asks: &Vec<Ask>| Scenario {
        asks: asks.clone(),
        probes: guarded.clone(),
        ..plain(name, "jwt_authn, rbac × 2", natives(native::authz(cache)))
    };
    let crowd = |name, native, count| Scenario {
        probes: forbidden.clone(),
        native: Some(native),
        ..plain(name, "authz", vec![Link::Ours(ours::crowd(count))])
    };
    let native_crowd = |name, count| Scenario {
        probes: forbidden.clone(),
        ..plain(name, "rbac", natives([native::rbac(count)]))
    };
    let full = |name, chain, links| Scenario {
        asks: versions.clone(),
        probes: guarded.clone(),
        native: Some("native: chain"),
        ..plain(name, chain, links)
    };

    vec![
        Scenario { floor: None, ..plain(NONE, "-", vec![]) },
        Scenario {
            routes: Routes::ByHeaderToClusters,
            floor: None,
            ..plain(NONE_BUT_FAULT, "fault", natives([native::fault()]))
        },
        plain(NOOP, "no-op", vec![noop()]),
        plain("four no-ops", "no-op × 4", vec![noop(), noop(), noop(), noop()]),
        bare("floor: nothing", "nothing"),
        calls(AUTHZ_CALLS, "authz"),
        calls(RS256_CALLS, "authz RS256"),
        calls(ES256_CALLS, "authz ES256"),
        calls(RATELIMIT_CALLS, "ratelimit"),
        calls(CANARY_CALLS, "canary"),
        bare(HEADERS_CALL, "headers"),
        Scenario {
            witness: Some("floor_total"),
            ..plain(TELEMETRY_CALLS, "host calls", vec![Link::Ours(ours::late_floor("telemetry"))])
        },
        bare(STATE_CALLS, "telemetry state"),
        Scenario {
            witness: Some("floor_total"),
            ..plain("by hand: authz", "by hand", vec![Link::Ours(ours::by_hand("authz"))])
        },
        Scenario {
            witness: Some("floor_total"),
            ..plain("by hand: canary", "by hand", vec![Link::Ours(ours::by_hand("canary"))])
        },
        Scenario {
            witness: Some("floor_total_of_"),
            ..plain("by hand: telemetry", "by hand", vec![Link::Ours(ours::by_hand("telemetry"))])
        },
        plain(
            "by hand: telemetry, filter state",
            "by hand",
            vec![Link::Ours(ours::by_hand("telemetry state"))],
        ),
        Scenario {
            witness: Some("http_server_requests_total.http_route=.=/checkout/{order};"),
            native: Some("native: telemetry"),
            ..plain("telemetry", "telemetry", vec![Link::Ours(ours::telemetry())])
        },
        Scenario {
            witness: Some("http_server_requests_total.http_route=.=/checkout/{order};"),
            native: Some("native: telemetry"),
            calls: Some(TELEMETRY_CALLS),
            ..plain(
                "telemetry, tenant and duration",
                "telemetry",
                vec![Link::Ours(ours::telemetry_by_tenant())],
            )
        },
        Scenario {
            calls: Some(STATE_CALLS),
            ..plain(
                "telemetry, filter state",
                "telemetry",
                vec![Link::Ours(ours::telemetry_in_filter_state())],
            )
        },
        Scenario {
            witness: Some("http_server_requests_total.http_route=.=/checkout/{order};"),
            ..plain(
                "telemetry, 10 routes",
                "telemetry",
                vec![Link::Ours(ours::telemetry_of_routes(10))],
            )
        },
        Scenario {
            witness: Some("http_server_requests_total.http_route=.=/checkout/{order};"),
            ..plain(
                "telemetry, 1,000 routes",
                "telemetry",
                vec![Link::Ours(ours::telemetry_of_routes(1000))],
            )
        },
        Scenario {
            routes: Routes::Named,
            logger: Some(native::telemetry()),
            witness: Some("native.http_server_requests_total"),
            ..plain("native: telemetry", "stats access logger", vec![])
        },
        Scenario {
            calls: Some(AUTHZ_CALLS),
            ..authz("authz", "native: authz", TokenCache::On, &welcome)
        },
        native_authz("native: authz", TokenCache::On, &welcome),
        Scenario {
            probes: guarded.clone(),
            native: Some("native: authz, ten policies"),
            calls: Some(AUTHZ_CALLS),
            ..plain("authz, ten policies", "authz", vec![Link::Ours(ours::guarded_crowd(10))])
        },
        Scenario {
            probes: guarded.clone(),
            ..plain(
                "native: authz, ten policies",
                "jwt_authn, rbac",
                natives(native::guarded_crowd(10)),
            )
        },
        Scenario {
            calls: Some(RS256_CALLS),
            ..authz(
                "authz, fresh tokens",
                "native: authz, fresh tokens",
                TokenCache::Off,
                &fresh_rs256,
            )
        },
        native_authz("native: authz, fresh tokens", TokenCache::Off, &fresh_rs256),
        Scenario {
            calls: Some(ES256_CALLS),
            ..authz(
                "authz, fresh ES256",
                "native: authz, fresh ES256",
                TokenCache::Off,
                &fresh_es256,
            )
        },
        native_authz("native: authz, fresh ES256", TokenCache::Off, &fresh_es256),
        authz("authz, denying", "native: authz, denying", TokenCache::On, &forbidden),
        native_authz("native: authz, denying", TokenCache::On, &forbidden),
        crowd("10 policies", "native: 10 policies", 10),
        native_crowd("native: 10 policies", 10),
        crowd("100 policies", "native: 100 policies", 100),
        native_crowd("native: 100 policies", 100),
        crowd("1,000 policies", "native: 1,000 policies", 1000),
        native_crowd("native: 1,000 policies", 1000),
        Scenario {
            witness: Some("rule=.=plenty;.;reason=.=admitted;"),
            native: Some("native: ratelimit"),
            calls: Some(RATELIMIT_CALLS),
            ..plain("ratelimit", "ratelimit", vec![Link::Ours(ours::ratelimit(&PLENTY))])
        },
        Scenario {
            witness: Some("plenty.http_local_rate_limit.ok"),
            ..plain(
                "native: ratelimit",
                "local_ratelimit",
                vec![Link::Native(native::ratelimit(&PLENTY))],
            )
        },
        Scenario {
            witness: Some("rule=.=plenty;.;reason=.=admitted;"),
            native: Some("native: ratelimit"),
            calls: Some(RATELIMIT_CALLS),
            ..plain("ratelimit, ten rules", "ratelimit", vec![Link::Ours(ours::ten_rules(&PLENTY))])
        },
        Scenario {
            asks: hot.clone(),
            native: Some("native: ratelimit, hot key"),
            calls: Some(RATELIMIT_CALLS),
            ..plain("ratelimit, hot key", "ratelimit", vec![Link::Ours(ours::ratelimit(&PLENTY))])
        },
        Scenario {
            asks: hot,
            ..plain(
                "native: ratelimit, hot key",
                "local_ratelimit",
                vec![Link::Native(native::ratelimit(&PLENTY))],
            )
        },
        Scenario {
            asks: limited.clone(),
            native: Some("native: ratelimit, refusing"),
            ..plain("ratelimit, refusing", "ratelimit", vec![Link::Ours(ours::ratelimit(&DROUGHT))])
        },
        Scenario {
            asks: limited,
            ..plain(
                "native: ratelimit, refusing",
                "local_ratelimit",
                vec![Link::Native(native::ratelimit(&DROUGHT))],
            )
        },
        Scenario {
            asks: versions.clone(),
            native: Some("native: canary"),
            calls: Some(CANARY_CALLS),
            ..plain("canary", "canary", vec![Link::Ours(ours::canary())])
        },
        Scenario {
            routes: Routes::Weighted,
            asks: versions.clone(),
            floor: Some(NONE_BUT_FAULT),
            ..plain("native: canary", "weighted clusters", natives([native::fault()]))
        },
        Scenario {
            calls: Some(HEADERS_CALL),
            ..plain(
                "canary, none of a hundred",
                "canary",
                vec![Link::Ours(ours::hundred_rollouts())],
            )
        },
        full(
            "chain",
            "telemetry, authz, ratelimit, canary",
            vec![
                Link::Ours(ours::telemetry()),
                Link::Ours(ours::authz(TokenCache::On)),
                Link::Ours(ours::ratelimit(&PLENTY)),
                Link::Ours(ours::canary()),
            ],
        ),
        full("suite", "suite", vec![Link::Ours(ours::suite(&PLENTY))]),
        Scenario {
            routes: Routes::NamedWeighted,
            logger: Some(native::telemetry()),
            floor: Some(NONE_BUT_FAULT),
            native: None,
            ..full(
                "native: chain",
                "all of these",
                natives(
                    native::authz(TokenCache::On)
                        .into_iter()
                        .chain([native::ratelimit(&PLENTY), native::fault()]),
                ),
            )
        },
    ]
}

/// Those of a name that contains `text`, with all that they are compared with.
#[must_use]
pub fn only(text: &str, all: Vec<Scenario>) -> Vec<Scenario> {
    let wanted = || all.iter().filter(|scenario| scenario.name.contains(text));
    let others = wanted().flat_map(|one| [one.floor, one.native, one.calls]).flatten();
    let names: Vec<&str> =
        wanted().map(|scenario| scenario.name).chain(others).chain([NONE, NOOP]).collect();
    all.iter().filter(|scenario| names.contains(&scenario.name)).cloned().collect()
}

fn natives(filters: impl IntoIterator<Item = Value>) -> Vec<Link> {
    filters.into_iter().map(Link::Native).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_scenario_is_measured_on_the_requests_of_its_native_twin() {
        let all = scenarios();
        for scenario in &all {
            let Some(name) = scenario.native else { continue };
            let twin = all.iter().find(|twin| twin.name == name).unwrap();
            assert_eq!(scenario.asks, twin.asks, "{}", scenario.name);
            assert_eq!(scenario.probes, twin.probes, "{}", scenario.name);
        }
    }

    #[test]
    fn a_choice_comes_with_what_it_is_compared_with() {
        let names: Vec<_> = only("canary", scenarios()).iter().map(|one| one.name).collect();
        let (by_hand, hundred) = ("by hand: canary", "canary, none of a hundred");
        let others = [CANARY_CALLS, HEADERS_CALL, by_hand, "canary", "native: canary", hundred];
        assert_eq!(names, [&[NONE, NONE_BUT_FAULT, NOOP][..], &others].concat());
    }

    #[test]
    fn every_floor_is_a_scenario_that_stands_on_none() {
        let all = scenarios();
        for floor in all.iter().filter_map(|scenario| scenario.floor) {
            let found = all.iter().find(|scenario| scenario.name == floor).unwrap();
            assert_eq!(found.floor, None, "{floor}");
        }
    }
}
