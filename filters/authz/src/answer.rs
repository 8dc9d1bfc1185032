//! How a refusal is worded: what the policy's author chose, or a line of text.

use filter_core::config::Object;
use filter_core::headers::OwnedHeader;
use filter_core::matching::NonEmpty;
use filter_core::outcome::GrpcStatus;
use filter_core::{HeaderName, Invalid, Reply};
use serde::Deserialize;
use serde_json::json;

use crate::Reason;
use crate::reason::Challenge;

/// How refusals of a policy are worded, in the document (`deny`).
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct RawForm {
    status: Option<u16>,
    grpc_status: Option<RawGrpcStatus>,
    headers: Option<NonEmpty<Object<RawHeader>>>,
    body: Option<String>,
    problem: Option<Object<RawProblem>>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct RawHeader {
    name: OwnedHeader,
    value: String,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct RawProblem {
    r#type: Option<String>,
    title: Option<String>,
    detail: Option<String>,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
enum RawGrpcStatus {
    InvalidArgument,
    NotFound,
    PermissionDenied,
    ResourceExhausted,
    Unimplemented,
    Internal,
    Unavailable,
    Unauthenticated,
}

/// How refusals are worded.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Form {
    status: Option<u16>,
    grpc_status: Option<GrpcStatus>,
    headers: Vec<(HeaderName, Vec<u8>)>,
    body: Body,
}

/// How proofs may be signed: with all that has a public key.
const PROOFS: &str = "ES256 ES384 ES512 EdDSA PS256 PS384 PS512 RS256 RS384 RS512";

/// The ways to prove who asks that there are, for challenges.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Methods {
    /// Whether somebody's tokens are believed from whoever has them.
    pub(crate) bearers: bool,
    /// Whether somebody's tokens may be bound to keys (RFC 9449).
    pub(crate) proofs: bool,
    /// Whether somebody has an API key.
    pub(crate) api_keys: bool,
}

impl Methods {
    /// Whether somebody's tokens are believed.
    pub(crate) fn tokens(self) -> bool {
        self.bearers || self.proofs
    }

    /// The values of `www-authenticate`. The realm is a constant, so that no client can write into it.
    fn challenges(self, challenge: Challenge, scopes: Option<&str>) -> Vec<String> {
        let scope = scopes.map(|scopes| format!(", scope=\"{scopes}\"")).unwrap_or_default();
        let bearer = |error: &str| format!("Bearer realm=\"outrigger\"{error}{scope}");
        // RFC 9449 §7.1.
        let dpop =
            |error: &str| format!("DPoP realm=\"outrigger\"{error}{scope}, algs=\"{PROOFS}\"");
        let token = |error: &str| {
            let bearer = self.bearers.then(|| bearer(error));
            bearer.into_iter().chain(self.proofs.then(|| dpop(error)))
        };
        // No scheme is registered for API keys, and a 401 must name one (RFC 9110 §15.5.2).
        let api_key = || r#"ApiKey realm="outrigger""#.to_owned();
        match challenge {
            Challenge::Any => token("").chain(self.api_keys.then(api_key)).collect(),
            Challenge::Token(error) => token(&format!(", error=\"{error}\"")).collect(),
            Challenge::Proof => vec![dpop(", error=\"invalid_dpop_proof\"")],
            Challenge::ApiKey => vec![api_key()],
        }
    }
}

/// The body of a refusal.
#[derive(Clone, Debug, Default, PartialEq)]
enum Body {
    /// `authz: REASON`.
    #[default]
    Reason,
    /// This text.
    Text(String),
    /// A problem (RFC 9457): its type, title and detail.
    Problem(Option<String>, Option<String>, Option<String>),
}

impl RawForm {
    /// # Errors
    /// When the answer is none, or could not be sent.
    pub(crate) fn compile(self, pointer: &str) -> Result<Form, Invalid> {
        if let Some(status) = self.status.filter(|status| !(400..=599).contains(status)) {
            let pointer = format!("{pointer}/status");
            return Err(Invalid::at(pointer, "a status of 400 to 599", status.to_string()));
        }
        let mut headers = Vec::new();
        let raw = self.headers.into_iter().flat_map(NonEmpty::into_vec);
        for (index, Object(RawHeader { name, value })) in raw.enumerate() {
            if value.contains(char::is_control) {
                let pointer = format!("{pointer}/headers/{index}/value");
                return Err(Invalid::at(pointer, "no control characters", format!("{value:?}")));
            }
            headers.push((name.0, value.into_bytes()));
        }
        let body = match (self.body, self.problem) {
            (Some(_), Some(_)) => {
                return Err(Invalid::at(pointer, "`body` or `problem`", "both"));
            }
            (Some(text), None) => Body::Text(text),
            (None, Some(Object(RawProblem { r#type, title, detail }))) => {
                Body::Problem(r#type, title, detail)
            }
            (None, None) => Body::Reason,
        };
        let grpc_status = self.grpc_status.map(|status| match status {
            RawGrpcStatus::InvalidArgument => GrpcStatus::InvalidArgument,
            RawGrpcStatus::NotFound => GrpcStatus::NotFound,
            RawGrpcStatus::PermissionDenied => GrpcStatus::PermissionDenied,
            RawGrpcStatus::ResourceExhausted => GrpcStatus::ResourceExhausted,
            RawGrpcStatus::Unimplemented => GrpcStatus::Unimplemented,
            RawGrpcStatus::Internal => GrpcStatus::Internal,
            RawGrpcStatus::Unavailable => GrpcStatus::Unavailable,
            RawGrpcStatus::Unauthenticated => GrpcStatus::Unauthenticated,
        });
        Ok(Form { status: self.status, grpc_status, headers, body })
    }
}

impl Form {
    /// The reply to a request that is refused for a reason. What is about a credential keeps its status, which the challenge
    /// belongs to (RFC 6750 §3), and takes the headers and the kind of body.
    pub(crate) fn reply(
        &self,
        reason: Reason,
        scopes: Option<&str>,
        methods: Methods,
    ) -> Option<Reply> {
        let answer = reason.answer()?;
        let (status, grpc_status) = if answer.challenge.is_some() {
            (answer.status, answer.grpc_status)
        } else {
            (self.status.unwrap_or(answer.status), self.grpc_status.unwrap_or(answer.grpc_status))
        };
        let mut headers = self.headers.clone();
        for value in answer.challenge.iter().flat_map(|asked| methods.challenges(*asked, scopes)) {
            headers.push((HeaderName::literal("www-authenticate"), value.into_bytes()));
        }
        let word = filter_core::decision::Reason::as_str(reason);
        let body = match &self.body {
            Body::Reason => format!("authz: {word}"),
            Body::Text(text) => text.clone(),
            Body::Problem(kind, title, detail) => {
                let kind_of = HeaderName::literal("content-type");
                headers.push((kind_of, b"application/problem+json".to_vec()));
                problem(status, word, kind.as_deref(), title.as_deref(), detail.as_deref())
            }
        };
        let body = body.into_bytes();
        Some(Reply { status, grpc_status, headers, body, details: String::new() })
    }
}

/// A problem in JSON (RFC 9457 §3), with the reason as a member of ours.
fn problem(
    status: u16,
    reason: &str,
    kind: Option<&str>,
    title: Option<&str>,
    detail: Option<&str>,
) -> String {
    let title = title.unwrap_or(match status {
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        503 => "Service Unavailable",
        _ => "Request refused",
    });
    let mut problem = json!({
        "type": kind.unwrap_or("about:blank"),
        "title": title,
        "status": status,
        "reason": reason,
    });
    if let (Some(detail), Some(members)) = (detail, problem.as_object_mut()) {
        members.insert("detail".to_owned(), detail.into());
    }
    problem.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    const METHODS: Methods = Methods { bearers: true, proofs: false, api_keys: false };

    fn form(text: &str) -> Form {
        serde_json::from_str::<RawForm>(text).unwrap().compile("/deny").unwrap()
    }

    #[test]
    fn a_refusal_has_the_status_of_its_policy_in_both_protocols() {
        let form = form(r#"{ "status": 404, "grpcStatus": "NOT_FOUND", "body": "no" }"#);
        let reply = form.reply(Reason::Denied, None, METHODS).unwrap();
        assert_eq!(
            (reply.status, reply.grpc_status, reply.body),
            (404, GrpcStatus::NotFound, b"no".to_vec())
        );
        assert_eq!(form.reply(Reason::Allowed, None, METHODS), None);
    }

    #[test]
    fn a_challenge_keeps_its_status() {
        let form = form(r#"{ "status": 404, "grpcStatus": "NOT_FOUND", "problem": {} }"#);
        for (reason, status, grpc_status) in [
            (Reason::Unauthenticated, 401, GrpcStatus::Unauthenticated),
            (Reason::TokenExpired, 401, GrpcStatus::Unauthenticated),
            (Reason::InsufficientScope, 403, GrpcStatus::PermissionDenied),
        ] {
            let reply = form.reply(reason, Some("a b"), METHODS).unwrap();
            assert_eq!((reply.status, reply.grpc_status), (status, grpc_status));
            let names: Vec<&str> = reply.headers.iter().map(|(name, _)| name.as_str()).collect();
            assert_eq!(names, ["www-authenticate", "content-type"]);
            assert!(reply.headers[0].1.ends_with(br#", scope="a b""#));
        }
    }
}
