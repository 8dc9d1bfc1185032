//! Why a request failed, in one word of a closed list: OpenTelemetry's `error.type`.

use crate::outcome::Ending;

/// What an error is that has no word of its own.
pub(crate) const OTHER: &str = "_OTHER";

/// A filter of the proxy could not do its work.
const FILTER_FAILURE: &str = "filter_failure";
/// Refused for who asked.
pub(crate) const DENIED: &str = "denied";
/// Refused for how much was asked.
const RATE_LIMITED: &str = "rate_limited";
/// The proxy has no route for it.
const NO_ROUTE: &str = "no_route";
/// What came was no good HTTP.
const PROTOCOL: &str = "downstream_protocol_error";

/// Envoy's response flags, by bit (`envoy/stream_info/stream_info.h`), where one tells more than those after it.
const BY_FLAG: [(u32, &str); 26] = [
    (1, "no_healthy_upstream"),
    (24, "no_cluster"),
    (26, "dns_failure"),
    (7, "upstream_overflow"),
    (27, "drop_overload"),
    (29, "drop_overload"),
    (25, "overload"),
    (8, NO_ROUTE),
    (12, DENIED),
    (11, RATE_LIMITED),
    (13, "rate_limit_service_error"),
    (10, "fault_injected"),
    (2, "upstream_timeout"),
    (22, "duration_timeout"),
    (19, "max_stream_duration"),
    (16, "stream_idle_timeout"),
    (5, "upstream_connection_failure"),
    (6, "upstream_connection_termination"),
    (4, "upstream_reset"),
    (3, "local_reset"),
    (23, "upstream_protocol_error"),
    (17, "invalid_envoy_headers"),
    (18, PROTOCOL),
    (21, "no_filter_config"),
    (0, "failed_local_health_check"),
    (15, "upstream_retry_limit"),
];

/// How Envoy's response-code details begin, and what that means of a refusal and of a failure.
const BY_DETAILS: [(&str, &str, &str); 12] = [
    ("authz{", DENIED, FILTER_FAILURE),
    ("ratelimit{", RATE_LIMITED, FILTER_FAILURE),
    ("rbac_access_denied", DENIED, DENIED),
    ("jwt_authn_access_denied", DENIED, DENIED),
    ("ext_authz_denied", DENIED, DENIED),
    ("ext_authz_error", DENIED, FILTER_FAILURE),
    ("request_rate_limited", RATE_LIMITED, RATE_LIMITED),
    ("local_rate_limited", RATE_LIMITED, RATE_LIMITED),
    ("route_not_found", NO_ROUTE, NO_ROUTE),
    ("request_payload_too_large", "payload_too_large", "payload_too_large"),
    ("wasm_fail_stream", FILTER_FAILURE, FILTER_FAILURE),
    ("http1.", PROTOCOL, PROTOCOL),
];

/// The statuses that stand for themselves where nothing tells more.
const CODES: [(u16, &str); 12] = [
    (500, "500"),
    (501, "501"),
    (502, "502"),
    (503, "503"),
    (504, "504"),
    (505, "505"),
    (506, "506"),
    (507, "507"),
    (508, "508"),
    (509, "509"),
    (510, "510"),
    (511, "511"),
];

/// gRPC's statuses by number.
const GRPC: [&str; 17] = [
    "OK",
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
];

/// The word for a gRPC status that is an error.
pub(crate) fn of_grpc(status: i64) -> &'static str {
    usize::try_from(status).ok().and_then(|status| GRPC.get(status)).copied().unwrap_or(OTHER)
}

/// The word for what went wrong in HTTP, by response flags, then by details, then by the status itself. A status that a
/// server may well answer with (4xx) is none in itself.
pub(crate) fn of_http(
    ending: Ending,
    code: u16,
    flags: i64,
    details: impl FnOnce() -> Vec<u8>,
) -> Option<&'static str> {
    let failed = match ending {
        Ending::ServerError => true,
        Ending::ClientError => false,
        Ending::Ok | Ending::Cancelled | Ending::Unknown => return None,
    };
    let flagged = BY_FLAG.iter().find(|(bit, _)| flags & 1_i64.wrapping_shl(*bit) != 0);
    let flagged = flagged.map(|(_, word)| *word);
    let detailed = || {
        let details = details();
        let found = BY_DETAILS.iter().find(|(begin, ..)| details.starts_with(begin.as_bytes()));
        found.map(|(_, refused, fault)| if failed { *fault } else { *refused })
    };
    let itself = || {
        let known = CODES.iter().find(|(known, _)| *known == code);
        failed.then(|| known.map_or(OTHER, |(_, word)| *word))
    };
    let word = flagged.or_else(detailed).or_else(itself)?;
    Some(if words(ending).any(|known| known == word) { word } else { OTHER })
}

/// Every word for HTTP that ends so.
pub(crate) fn words(ending: Ending) -> impl Iterator<Item = &'static str> {
    let flagged = BY_FLAG.iter().map(|(_, word)| *word);
    let detailed = BY_DETAILS.iter().flat_map(|(_, refused, fault)| [*refused, *fault]);
    let codes = CODES.iter().map(|(_, word)| *word);
    // What ends in a 4xx, so that not each of the upstream's troubles is a series of it too.
    let of_clients = [
        NO_ROUTE,
        DENIED,
        RATE_LIMITED,
        PROTOCOL,
        "payload_too_large",
        "invalid_envoy_headers",
        "fault_injected",
        "stream_idle_timeout",
        "duration_timeout",
    ];
    flagged.chain(detailed).chain(codes).chain([OTHER]).filter(move |word| match ending {
        Ending::ServerError => true,
        Ending::ClientError => *word == OTHER || of_clients.contains(word),
        Ending::Ok | Ending::Cancelled | Ending::Unknown => false,
    })
}

/// Every word for gRPC that ends so.
pub(crate) fn grpc_words(ending: Ending) -> impl Iterator<Item = &'static str> {
    let numbered = (0_i64..).zip(GRPC);
    numbered.filter(move |(status, _)| Ending::of_grpc(*status) == ending).map(|(_, word)| word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_tell_more_than_details_and_details_more_than_the_status() {
        use Ending::{ClientError, Ok, ServerError};
        for (ending, code, flags, details, word) in [
            (ServerError, 503, 32800, "upstream_reset", Some("upstream_connection_failure")),
            (ServerError, 504, 4, "", Some("upstream_timeout")),
            (ServerError, 503, 2, "no_healthy_upstream", Some("no_healthy_upstream")),
            (ServerError, 503, 0, "authz{keys_unavailable}", Some("filter_failure")),
            (ServerError, 503, 0, "via_upstream", Some("503")),
            (ServerError, 599, 0, "via_upstream", Some("_OTHER")),
            (ClientError, 404, 256, "route_not_found", Some("no_route")),
            (ClientError, 403, 0, "authz{denied:a}", Some("denied")),
            (ClientError, 429, 0, "ratelimit{limited:a}", Some("rate_limited")),
            (ClientError, 404, 0, "via_upstream", None),
            (ClientError, 404, 4, "via_upstream", Some("_OTHER")),
            (Ok, 200, 4, "", None),
        ] {
            assert_eq!(of_http(ending, code, flags, || details.into()), word, "{code} {details}");
        }
    }

    #[test]
    fn grpc_has_its_own_words() {
        assert_eq!(of_grpc(14), "UNAVAILABLE");
        assert_eq!(of_grpc(17), OTHER);
        assert_eq!(of_grpc(-1), OTHER);
        assert_eq!(grpc_words(Ending::ServerError).count(), 6);
        assert_eq!(grpc_words(Ending::ClientError).count(), 9);
    }

    #[test]
    fn every_word_can_be_a_label() {
        for ending in Ending::ALL {
            for word in words(ending).chain(grpc_words(ending)) {
                assert!(filter_core::metrics::LabelValue::parse(word).is_some(), "{word}");
            }
        }
    }
}
