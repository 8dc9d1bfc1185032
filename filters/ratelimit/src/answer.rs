//! What a refused client is told.

use filter_core::outcome::GrpcStatus;
use filter_core::{HeaderName, Reply, Rule};

use crate::charge::seconds;
use crate::config::ReplyPlan;
use crate::gcra::NEVER;
use crate::reason::Why;

/// The problem type of the draft (§6.1), registered with IANA.
const QUOTA_EXCEEDED: &str = "https://iana.org/assignments/http-problem-types#quota-exceeded";

/// The reply to a request that `rule` refuses, worth another try in `wait` ticks. A gRPC client gets the body as its
/// message, so it gets no document.
pub(crate) fn reply(
    plan: &ReplyPlan,
    rule: &Rule,
    why: Why,
    wait: Option<u64>,
    grpc: bool,
) -> Reply {
    let mut headers = Vec::new();
    if let Some(wait) = wait.filter(|wait| *wait != NEVER) {
        let wait = seconds(wait).to_string().into_bytes();
        headers.push((HeaderName::literal("retry-after"), wait));
    }
    if why == Why::Unavailable {
        return Reply {
            status: 503,
            grpc_status: GrpcStatus::Unavailable,
            headers,
            body: b"rate_limit_unavailable".to_vec(),
            details: String::new(),
        };
    }
    headers.extend(plan.headers.iter().cloned());
    let (body, kind) = match &plan.body {
        _ if grpc => (b"local_rate_limited".to_vec(), None),
        None if plan.problem => {
            (problem(plan.status, rule).into_bytes(), Some(b"application/problem+json".to_vec()))
        }
        None => (b"local_rate_limited".to_vec(), None),
        Some(body) => (body.clone(), plan.content_type.clone()),
    };
    headers.extend(kind.map(|kind| (HeaderName::literal("content-type"), kind)));
    Reply {
        status: plan.status,
        grpc_status: GrpcStatus::ResourceExhausted,
        headers,
        body,
        details: String::new(),
    }
}

/// A problem document (RFC 9457 §3). The name of a rule needs no escapes in JSON.
fn problem(status: u16, rule: &Rule) -> String {
    format!(
        "{{\"type\":\"{QUOTA_EXCEEDED}\",\"title\":\"Request cannot be satisfied as assigned quota \
         has been exceeded\",\"status\":{status},\"violated-policies\":[\"{rule}\"]}}"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(
        plan: &ReplyPlan,
        why: Why,
        wait: Option<u64>,
        grpc: bool,
    ) -> (u16, Vec<String>, String) {
        let reply = reply(plan, &Rule::parse("login").unwrap(), why, wait, grpc);
        let line = |(name, value): &(HeaderName, Vec<u8>)| {
            format!("{name}: {}", String::from_utf8_lossy(value))
        };
        let headers = reply.headers.iter().map(line).collect();
        (reply.status, headers, String::from_utf8(reply.body).unwrap())
    }

    #[test]
    fn a_refusal_says_when_to_come_again_if_ever() {
        let plan = ReplyPlan::default();
        let body = "local_rate_limited".to_owned();
        let (status, headers, found) = told(&plan, Why::Limited, Some(1), false);
        assert_eq!((status, headers, found), (429, vec!["retry-after: 1".to_owned()], body));
        for wait in [None, Some(NEVER)] {
            assert!(told(&plan, Why::Limited, wait, false).1.is_empty());
        }
    }

    #[test]
    fn a_problem_is_a_document_but_for_grpc() {
        let plan = ReplyPlan { status: 503, problem: true, ..ReplyPlan::default() };
        let (status, headers, body) = told(&plan, Why::Limited, None, false);
        assert_eq!(
            (status, &headers[..]),
            (503, &["content-type: application/problem+json".to_owned()][..])
        );
        let body: serde_json::Value = serde_json::from_str(&body).unwrap();
        assert_eq!(body["type"], QUOTA_EXCEEDED);
        assert_eq!(
            (&body["status"], &body["violated-policies"]),
            (&503.into(), &serde_json::json!(["login"]))
        );
        assert_eq!(told(&plan, Why::Limited, None, true).2, "local_rate_limited");
    }

    #[test]
    fn what_is_configured_is_sent() {
        let plan = ReplyPlan {
            headers: vec![(HeaderName::literal("x-help"), b"later".to_vec())],
            body: Some(b"<p>later".to_vec()),
            content_type: Some(b"text/html".to_vec()),
            ..ReplyPlan::default()
        };
        let (_, headers, body) = told(&plan, Why::Limited, None, false);
        assert_eq!(headers, ["x-help: later", "content-type: text/html"]);
        assert_eq!(body, "<p>later");
        assert_eq!(told(&plan, Why::Unavailable, Some(0), false).0, 503);
    }
}
