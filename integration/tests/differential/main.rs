//! The same policies through our filter and through Envoy's own, in one Envoy, on requests made up from a seed: every
//! difference must be one that the filter's README lists, and with `compat` there must be none.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "these are tests")]

mod beds;
mod deviations;
mod facts;
mod native;
mod policies;
mod random;
mod requests;

use std::collections::BTreeMap;

use beds::{Beds, PEERS};
use integration::Request;
use policies::Bed;
use random::Random;
use serde_json::Value;

/// Sets of policies on each bed.
const PLAIN_SETS: usize = 40;
const SECURED_SETS: usize = 16;
/// Requests to each set.
const REQUESTS: usize = 80;

/// What one judge says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Verdict {
    pub(crate) status: u16,
    /// The response-code details.
    pub(crate) details: String,
}

impl Verdict {
    /// The rule that denied, if one did: `POLICY:INDEX`.
    fn denied_by(&self) -> Option<&str> {
        let native = self.details.strip_prefix("rbac_access_denied_matched_policy[");
        let native = native.and_then(|rest| rest.strip_suffix(']')).filter(|rule| *rule != "none");
        let ours = self.details.strip_prefix("authz{denied:");
        native.or(ours.and_then(|rest| rest.strip_suffix('}')))
    }

    fn agrees(&self, other: &Self) -> bool {
        self.status == other.status && self.denied_by() == other.denied_by()
    }
}

fn seed() -> u64 {
    std::env::var("SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(1)
}

#[test]
fn every_difference_from_envoys_own_filters_is_a_listed_one() {
    let mut random = Random::new(seed());
    let mut make = |bed, count| {
        (0..count).map(|_| (bed, policies::policies(&mut random, bed))).collect::<Vec<_>>()
    };
    let mut sets = make(Bed::Plain, PLAIN_SETS);
    sets.extend(make(Bed::Secured, SECURED_SETS));
    let tokens = requests::tokens(&mut random);
    let mut beds = Beds::start(&sets);
    let mut counted: BTreeMap<String, usize> = BTreeMap::new();
    let mut told = Vec::new();
    for (index, (bed, policies)) in sets.iter().enumerate() {
        for _ in 0..REQUESTS {
            let request = requests::request(&mut random, &tokens);
            let peer = (*bed == Bed::Secured).then(|| random.below(PEERS.len()));
            let mut ask = |judge: &str, request: &Request| {
                let response = beds.client(index, judge, peer).send(request).unwrap();
                Verdict { status: response.status, details: response.text() }
            };
            let [native, strict, compat] =
                ["native", "strict", "compat"].map(|judge| ask(judge, &request));
            *counted.entry(format!("native {}", native.status)).or_default() += 1;
            if !native.agrees(&compat) {
                told.push(tell("compat", &request, peer, policies, &native, &compat));
            }
            // However a request is spelled, it is the same to us.
            if let Some(plain) = requests::plainly(&request).filter(|plain| {
                let same = plain.path == request.path && plain.host == request.host;
                !same && !deviations::mind_spelled_hosts(policies)
            }) {
                let again = ask("strict", &plain);
                if again != strict {
                    told.push(tell("plain", &request, peer, policies, &again, &strict));
                }
                *counted.entry("spelled".to_owned()).or_default() += 1;
            }
            if native.agrees(&strict) {
                *counted.entry("strict: alike".to_owned()).or_default() += 1;
                continue;
            }
            let uri = peer.map(|peer| PEERS[peer].0);
            let why = deviations::explanations(&request, uri, policies, &native, &strict);
            let stricter = deviations::are_stricter(&why, requests::plainly(&request).is_none());
            if why.is_empty() || (stricter && strict.status == 200) {
                told.push(tell("strict", &request, peer, policies, &native, &strict));
            }
            *counted.entry(format!("only stricter: {stricter}")).or_default() += 1;
            *counted.entry(format!("strict: {}", why.join(", "))).or_default() += 1;
        }
    }
    println!("{counted:#?}");
    assert!(told.is_empty(), "{} differences:\n{}", told.len(), told.join("\n"));
    for what in ["native 200", "native 401", "native 403", "spelled", "only stricter: true"] {
        let often = counted.get(what).copied().unwrap_or_default();
        assert!(often > 40, "too few of `{what}`: {counted:#?}");
    }
}

fn tell(
    judge: &str,
    request: &Request,
    peer: Option<usize>,
    policies: &[Value],
    native: &Verdict,
    ours: &Verdict,
) -> String {
    let Request { method, host, path, headers, .. } = request;
    let headers: Vec<String> = headers
        .iter()
        .map(|(name, value)| format!("{name}: {}", String::from_utf8_lossy(value)))
        .collect();
    let peer = peer.map(|peer| PEERS[peer]);
    let policies = serde_json::to_string(policies).unwrap();
    format!(
        "{judge}: {method} {host} {path} {headers:?} {peer:?}\n  {native:?}\n  {ours:?}\n  {policies}"
    )
}
