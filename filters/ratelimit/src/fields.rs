//! The fields that tell a client how much is left: `RateLimit-Policy` and `RateLimit` of
//! draft-ietf-httpapi-ratelimit-headers-10, and the three `X-RateLimit-*` of draft-polli-ratelimit-headers-03 as Envoy
//! writes them. When the draft changes, this file does.

use std::rc::Rc;

use filter_core::outcome::Edit;
use filter_core::{HeaderName, Headers, Rule};

use crate::charge::{Claim, seconds};
use crate::config::LimitHeaders;
use crate::debt::Debt;
use crate::limit::{Debts, Limits, Window};

/// What one rule has left for the client.
#[derive(Clone, Debug)]
pub(crate) struct Standing {
    pub(crate) rule: Rule,
    pub(crate) state: State,
}

/// How much is left.
#[derive(Clone, Debug)]
pub(crate) enum State {
    /// Of tokens, in each window.
    Rate { limits: Rc<Limits>, debts: Debts, now: u64 },
    /// Of requests at the same time.
    InFlight { most: u64, left: u64 },
}

impl State {
    /// What is left when a key owes so much.
    pub(crate) fn rate(claim: &Claim, debts: Debts) -> Self {
        Self::Rate { limits: Rc::clone(&claim.limits), debts, now: claim.now }
    }
}

/// One window, or one limit of requests at the same time, as a client is told of it.
struct Told {
    name: String,
    /// How many there are at most.
    quota: u64,
    /// In how many seconds they come back; none if they do when requests end.
    window: Option<u64>,
    /// How many are left.
    left: u64,
    /// Seconds until there is one more; none if there are all, or nobody knows.
    next: Option<u64>,
}

impl Standing {
    fn told(&self) -> Vec<Told> {
        match &self.state {
            State::Rate { limits, debts, now } => {
                let windows = limits.windows();
                let one = |(window, debt): (&Window, &Debt)| {
                    let (left, next) = window.left(debt, *now);
                    // One rule, one policy; of several windows, each is one.
                    let name = match windows {
                        [_] => self.rule.to_string(),
                        _ => format!("{}/{}s", self.rule, window.seconds()),
                    };
                    let (quota, window) = (window.burst, Some(window.seconds()));
                    Told { name, quota, window, left, next: next.map(seconds) }
                };
                windows.iter().zip(debts).map(one).collect()
            }
            State::InFlight { most, left } => {
                let name = self.rule.to_string();
                vec![Told { name, quota: *most, window: None, left: *left, next: None }]
            }
        }
    }
}

/// The fields of these standings, by name: none without any.
pub(crate) fn fields(kind: LimitHeaders, standings: &[Standing]) -> Vec<(HeaderName, String)> {
    let told: Vec<Told> = standings.iter().flat_map(Standing::told).collect();
    if told.is_empty() {
        return Vec::new();
    }
    let mut fields = Vec::with_capacity(5);
    if matches!(kind, LimitHeaders::Ietf | LimitHeaders::Both) {
        fields.push((POLICY, list(&told, policy)));
        fields.push((LIMIT, list(&told, limit)));
    }
    // The tightest: of those with the fewest tokens left, the one that waits longest. These fields know only rates.
    let rates = told.iter().filter(|told| told.window.is_some());
    let tightest = rates.min_by_key(|told| (told.left, std::cmp::Reverse(told.next)));
    if matches!(kind, LimitHeaders::XRateLimit | LimitHeaders::Both)
        && let Some(tightest) = tightest
    {
        fields.push((X_LIMIT, tightest.quota.to_string()));
        fields.push((X_REMAINING, tightest.left.to_string()));
        fields.push((X_RESET, tightest.next.unwrap_or(0).to_string()));
    }
    fields.into_iter().map(|(name, value)| (HeaderName::literal(name), value)).collect()
}

const POLICY: &str = "ratelimit-policy";
const LIMIT: &str = "ratelimit";
const X_LIMIT: &str = "x-ratelimit-limit";
const X_REMAINING: &str = "x-ratelimit-remaining";
const X_RESET: &str = "x-ratelimit-reset";

/// The names of rules need no escapes in a String (RFC 9651 §3.3.3).
fn policy(told: &Told) -> String {
    match told.window {
        Some(seconds) => format!("\"{}\";q={};w={seconds}", told.name, told.quota),
        None => format!("\"{}\";q={};qu=\"concurrent-requests\"", told.name, told.quota),
    }
}

fn limit(told: &Told) -> String {
    let next = told.next.map(|next| format!(";t={next}")).unwrap_or_default();
    format!("\"{}\";r={}{next}", told.name, told.left)
}

fn list(told: &[Told], item: fn(&Told) -> String) -> String {
    told.iter().map(item).collect::<Vec<_>>().join(", ")
}

/// The same fields on a response that has some already: lists get our members added, and of two sets of `X-RateLimit-*`
/// the tighter stays. No intermediary may make a limit look wider (draft §5).
pub(crate) fn merged(fields: Vec<(HeaderName, String)>, response: Headers<'_>) -> Vec<Edit> {
    let theirs = crate::terms::only_number(response, &HeaderName::literal(X_REMAINING));
    let ours = fields.iter().find(|(name, _)| name.as_str() == X_REMAINING);
    let ours = ours.and_then(|(_, left)| left.parse::<u64>().ok());
    let keep = theirs.zip(ours).is_some_and(|(theirs, ours)| theirs < ours);
    let edits = fields.into_iter().filter_map(|(name, value)| {
        if name.as_str().starts_with("x-") {
            return (!keep).then(|| Edit::Set(name, value.into_bytes()));
        }
        let mut lines: Vec<&[u8]> =
            response.copies(name.as_str()).filter(|line| !line.trim_ascii().is_empty()).collect();
        lines.push(value.as_bytes());
        let joined = lines.join(&b", "[..]);
        Some(Edit::Set(name, joined))
    });
    edits.collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use filter_core::HeaderMap;

    use super::*;
    use crate::gcra::TICKS_PER_SECOND;

    fn standing(rule: &str, windows: &[(u64, u64)], debts: &[u64]) -> Standing {
        let window = |(burst, seconds): &(u64, u64)| {
            Window::bucket(*burst, *burst, Duration::from_secs(*seconds)).unwrap()
        };
        let limits = Limits::new(&windows.iter().map(window).collect::<Vec<_>>()).unwrap();
        let mut all = Debts::default();
        for ((to, debt), window) in all.iter_mut().zip(debts).zip(limits.windows()) {
            *to = Debt { tat: 7 + debt * TICKS_PER_SECOND, token: window.gcra.token() };
        }
        let state = State::Rate { limits: limits.into(), debts: all, now: 7 };
        Standing { rule: Rule::parse(rule).unwrap(), state }
    }

    fn text(kind: LimitHeaders, standings: &[Standing]) -> String {
        let fields = fields(kind, standings);
        fields.iter().map(|(name, value)| format!("{name}: {value}\n")).collect()
    }

    #[test]
    fn one_rule_is_one_policy() {
        assert_eq!(
            text(LimitHeaders::Both, &[standing("login", &[(5, 60)], &[13])]),
            "ratelimit-policy: \"login\";q=5;w=60\n\
             ratelimit: \"login\";r=3;t=1\n\
             x-ratelimit-limit: 5\nx-ratelimit-remaining: 3\nx-ratelimit-reset: 1\n"
        );
        assert_eq!(text(LimitHeaders::None, &[standing("login", &[(5, 60)], &[13])]), "");
        assert_eq!(text(LimitHeaders::Both, &[]), "");
    }

    #[test]
    fn a_full_bucket_has_nothing_to_wait_for() {
        let full = [standing("a", &[(5, 60)], &[0])];
        assert_eq!(
            text(LimitHeaders::Ietf, &full),
            "ratelimit-policy: \"a\";q=5;w=60\nratelimit: \"a\";r=5\n"
        );
        assert!(text(LimitHeaders::XRateLimit, &full).ends_with("reset: 0\n"));
    }

    #[test]
    fn every_window_of_every_rule_is_a_policy() {
        let standings =
            [standing("a", &[(10, 10), (100, 3600)], &[10, 360]), standing("b", &[(2, 1)], &[0])];
        assert_eq!(
            text(LimitHeaders::Both, &standings),
            "ratelimit-policy: \"a/10s\";q=10;w=10, \"a/3600s\";q=100;w=3600, \"b\";q=2;w=1\n\
             ratelimit: \"a/10s\";r=0;t=1, \"a/3600s\";r=90;t=36, \"b\";r=2\n\
             x-ratelimit-limit: 10\nx-ratelimit-remaining: 0\nx-ratelimit-reset: 1\n"
        );
    }

    #[test]
    fn requests_at_the_same_time_are_a_policy_of_their_own_unit() {
        let rule = Rule::parse("reports").unwrap();
        let reports = Standing { rule, state: State::InFlight { most: 4, left: 1 } };
        assert_eq!(
            text(LimitHeaders::Both, &[standing("a", &[(5, 60)], &[13]), reports.clone()]),
            "ratelimit-policy: \"a\";q=5;w=60, \"reports\";q=4;qu=\"concurrent-requests\"\n\
             ratelimit: \"a\";r=3;t=1, \"reports\";r=1\n\
             x-ratelimit-limit: 5\nx-ratelimit-remaining: 3\nx-ratelimit-reset: 1\n"
        );
        assert_eq!(text(LimitHeaders::XRateLimit, &[reports]), "");
    }

    /// The examples of the draft that keep to it.
    #[test]
    fn what_the_draft_writes_stays_as_it_is_before_ours() {
        let policies = [
            "\"burst\";q=100;w=60,\"daily\";q=1000;w=86400",
            "\"permin\";q=50;w=60,\"perhr\";q=1000;w=3600",
            "\"peruser\";q=100;w=60;pk=:cHsdsRa894==:",
            "\"peruser\";q=65535;qu=\"content-bytes\";w=10;pk=:sdfjLJUOUH==:",
            "\"hour\";q=1000;w=3600, \"day\";q=5000;w=86400",
        ];
        let limits = [
            "\"default\";r=50;t=30",
            "\"default\";r=999;pk=:dHJpYWwxMjEzMjM=:",
            "\"day\";r=100;t=36000",
            "\"problemPolicy\";r=0;t=10",
        ];
        let ours = [(POLICY, "\"a\";q=5;w=60"), (LIMIT, "\"a\";r=3;t=1")];
        for ((name, own), theirs) in [(ours[0], &policies[..]), (ours[1], &limits[..])] {
            for theirs in theirs {
                let map = HeaderMap::from_pairs([(name, *theirs)]);
                let fields = fields(LimitHeaders::Ietf, &[standing("a", &[(5, 60)], &[13])]);
                let edits = merged(fields, Headers::new(&map, &[]));
                let expected = format!("{theirs}, {own}").into_bytes();
                assert!(
                    edits.contains(&Edit::Set(HeaderName::literal(name), expected)),
                    "{edits:?}"
                );
            }
        }
    }

    #[test]
    fn what_the_upstream_said_is_never_widened() {
        let merge = |lines: &[(&str, &str)]| {
            let map = HeaderMap::from_pairs(lines.iter().copied());
            let fields = fields(LimitHeaders::Both, &[standing("a", &[(5, 60)], &[13])]);
            merged(fields, Headers::new(&map, &[]))
        };
        let value = |edits: &[Edit], name: &str| {
            let of = |edit: &Edit| match edit {
                Edit::Set(header, value) if header.as_str() == name => Some(value.clone()),
                _ => None,
            };
            edits.iter().find_map(of).map(|value| String::from_utf8(value).unwrap())
        };
        let edits = merge(&[("RateLimit", "\"up\";r=1"), ("ratelimit", "\"x\";r=2;t=9")]);
        assert_eq!(value(&edits, LIMIT).unwrap(), "\"up\";r=1, \"x\";r=2;t=9, \"a\";r=3;t=1");
        assert_eq!(value(&edits, POLICY).unwrap(), "\"a\";q=5;w=60");
        for (theirs, ours) in [("2", None), ("3", Some("3")), ("9", Some("3")), ("x", Some("3"))] {
            let edits = merge(&[(X_LIMIT, "7"), (X_REMAINING, theirs), (X_RESET, "1")]);
            assert_eq!(value(&edits, X_REMAINING).as_deref(), ours, "{theirs}");
            assert_eq!(value(&edits, X_LIMIT).is_some(), ours.is_some(), "{theirs}");
        }
    }
}
