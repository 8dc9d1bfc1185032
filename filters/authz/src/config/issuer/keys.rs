//! Where the keys of an issuer come from: `jwks`, or `jwksUri` and how it is fetched.

use std::time::Duration;

use filter_core::Invalid;
use filter_core::config::Span;

use super::raw::RawIssuer;
use crate::fetch::{Endpoint, Remote, Timing};
use crate::token::{Issuers, Source, parse_key_set};

/// How a set is fetched where the configuration does not say: as Envoy's `remote_jwks` does, but for the last, which
/// there is no end to.
const USUAL: Timing = Timing {
    timeout: Duration::from_secs(5),
    refresh: Duration::from_secs(600),
    max_stale: Duration::from_secs(3600),
};

/// The shortest time between two fetches that may be asked for.
const SHORTEST: Duration = Duration::from_secs(1);

/// Reads the fields about keys. A set that is fetched is added to those of the issuers.
///
/// # Errors
/// When they do not say one place, or say of one what only goes with the other.
pub(super) fn source(
    raw: &mut RawIssuer,
    issuers: &mut Issuers,
    pointer: &str,
) -> Result<Source, Invalid> {
    let at = |field: &str| format!("{pointer}/{field}");
    match (raw.jwks.take(), raw.jwks_uri.take()) {
        (Some(jwks), None) => {
            let fetching = [
                ("jwksCluster", raw.jwks_cluster.is_some()),
                ("timeout", raw.timeout.is_some()),
                ("cacheDuration", raw.cache_duration.is_some()),
                ("maxStale", raw.max_stale.is_some()),
            ];
            if let Some((field, _)) = fetching.into_iter().find(|(_, given)| *given) {
                let expected = "nothing about fetching where keys are not fetched";
                return Err(Invalid::at(at(field), expected, "one beside `jwks`"));
            }
            parse_key_set(&jwks)
                .map(Source::Inline)
                .map_err(|error| Invalid::at(at("jwks"), error.expected, error.found))
        }
        (None, Some(uri)) => {
            let cluster = raw.jwks_cluster.take().map(|name| name.0);
            let endpoint = Endpoint::parse(&uri, cluster)
                .map_err(|error| Invalid::at(at("jwksUri"), "a URL of a key set", error.0))?;
            let timing = Timing {
                timeout: span(raw.timeout.take(), USUAL.timeout, SHORTEST, &at("timeout"))?,
                refresh: span(
                    raw.cache_duration.take(),
                    USUAL.refresh,
                    SHORTEST,
                    &at("cacheDuration"),
                )?,
                max_stale: span(
                    raw.max_stale.take(),
                    USUAL.max_stale,
                    Duration::ZERO,
                    &at("maxStale"),
                )?,
            };
            Ok(Source::Remote(issuers.add_remote(Remote::new(endpoint, timing))))
        }
        (Some(_), Some(_)) => Err(Invalid::at(pointer, "either `jwks` or `jwksUri`", "both")),
        (None, None) => Err(Invalid::at(pointer, "`jwks` or `jwksUri`", "neither")),
    }
}

fn span(
    given: Option<Span>,
    usual: Duration,
    shortest: Duration,
    pointer: &str,
) -> Result<Duration, Invalid> {
    let span = given.map_or(usual, |span| span.0);
    if span < shortest {
        let expected = format!("{} s or more", shortest.as_secs());
        return Err(Invalid::at(pointer, expected, format!("{} ms", span.as_millis())));
    }
    Ok(span)
}
