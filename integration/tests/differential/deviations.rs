//! Where we decide otherwise than Envoy, by the list in the filter's README: each by what about a request or a policy
//! makes it possible.

use integration::Request;
use serde_json::Value;

use crate::Verdict;

/// The deviations that may explain why the strict reading decides otherwise, by the names in the README.
pub(crate) fn explanations(
    request: &Request,
    peer: Option<&str>,
    policies: &[Value],
    native: &Verdict,
    strict: &Verdict,
) -> Vec<&'static str> {
    let policies = serde_json::to_string(policies).unwrap();
    let about = |word: &str| policies.contains(word);
    let path = request.path.split(['?', '#']).next().unwrap_or_default();
    let mut found = Vec::new();
    let mut when = |name, holds: bool| {
        if holds {
            found.push(name);
        }
    };
    let canonical = !["//", "/.", "%", "\\", ";"].iter().any(|mark| path.contains(mark));
    when("paths", (about("aths\"")) && !canonical);
    let in_templates = |c: char| c.is_ascii_alphanumeric() || "-._~%!$&'()*+,;:@=/".contains(c);
    when("templates", about("{*") && !path.chars().all(in_templates));
    let plain_host = !request.host.contains(':') && !request.host.ends_with('.');
    when("hosts", about("osts\"") && !plain_host);
    let roles: Vec<&Vec<u8>> = request
        .headers
        .iter()
        .filter(|(name, _)| name.eq_ignore_ascii_case("x-role"))
        .map(|(_, value)| value)
        .collect();
    let several = roles.len() > 1 || roles.iter().any(|value| value.contains(&b','));
    when("headers", about("request.headers[") && several);
    let helpful = ["{unauthenticated:", "{insufficient_scope:"];
    let challenged = helpful.iter().any(|word| strict.details.contains(word));
    when("challenges", native.status == 403 && challenged);
    // Taken apart at the last slash, these mean other issuers.
    let apart = about("\"https://*\"") || about("https://issuer.example/a/b");
    let token = request.headers.iter().any(|(name, _)| name == "authorization");
    when("principals", apart && token);
    when("certificates", peer.is_some_and(|peer| peer.contains("/x/y/")));
    found
}

/// Whether these deviations can only make us refuse more than Envoy. A path that servers differ about is of this kind.
pub(crate) fn are_stricter(why: &[&str], ambiguous: bool) -> bool {
    let stricter = ["headers", "certificates", "challenges"];
    why.iter().all(|name| stricter.contains(name) || (ambiguous && *name == "paths"))
}

/// Whether policies are about the host as it is written.
pub(crate) fn mind_spelled_hosts(policies: &[Value]) -> bool {
    let policies = serde_json::to_string(policies).unwrap();
    policies.contains(":8080") || policies.contains("[Host]")
}
