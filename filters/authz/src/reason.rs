//! Why this filter decides as it does.

use filter_core::decision;
use filter_core::outcome::GrpcStatus;

/// The reasons of this filter; its page explains each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// An ALLOW rule matched, or there is no ALLOW policy.
    Allowed,
    /// A DENY rule matched, or it could not be told that it does not.
    Denied,
    /// There are ALLOW policies, and no rule of theirs matched.
    NotAllowed,
    /// As [`Reason::NotAllowed`], but with some token the request could have been allowed.
    Unauthenticated,
    /// A REQUIRE rule is about the request, and it could not be told that it is met.
    RequirementUnmet,
    /// As [`Reason::NotAllowed`], but with a token of more scope the request could have been allowed.
    InsufficientScope,
    /// There is more than one credential.
    TokenRepeated,
    /// The token is not a JWT, or one with an extension that is not understood.
    TokenMalformed,
    /// The token is signed in a way that is not accepted.
    TokenAlgorithm,
    /// No trusted key fits the token's header.
    TokenKeyUnknown,
    /// No trusted key made the signature.
    SignatureInvalid,
    /// The token's time is over.
    TokenExpired,
    /// The token's time has not come.
    TokenNotYetValid,
    /// The token names another issuer than the key's.
    TokenIssuer,
    /// The token is meant for others.
    TokenAudience,
    /// The token is valid for longer than its issuer's may be.
    TokenLifetime,
    /// The token was taken back.
    TokenRevoked,
    /// The token is not bound to the certificate that its sender shows, or to any key.
    TokenBinding,
    /// The token is bound to a key, and nothing proves that its sender has it.
    DpopMissing,
    /// What should prove that the sender has the key does not, here and now.
    DpopInvalid,
    /// What proves it was seen before.
    DpopReplayed,
    /// Whether what proves it was seen before cannot be told.
    DpopUnavailable,
    /// There is more than one API key.
    ApiKeyRepeated,
    /// The API key is nobody's.
    ApiKeyUnknown,
    /// Keys that might prove the token could not be fetched.
    KeysUnavailable,
    /// The path has no single meaning, and a DENY rule may be about it.
    PathAmbiguous,
}

impl decision::Reason for Reason {
    const ALL: &'static [Self] = &[
        Self::Allowed,
        Self::Denied,
        Self::NotAllowed,
        Self::Unauthenticated,
        Self::RequirementUnmet,
        Self::InsufficientScope,
        Self::TokenRepeated,
        Self::TokenMalformed,
        Self::TokenAlgorithm,
        Self::TokenKeyUnknown,
        Self::SignatureInvalid,
        Self::TokenExpired,
        Self::TokenNotYetValid,
        Self::TokenIssuer,
        Self::TokenAudience,
        Self::TokenLifetime,
        Self::TokenRevoked,
        Self::TokenBinding,
        Self::DpopMissing,
        Self::DpopInvalid,
        Self::DpopReplayed,
        Self::DpopUnavailable,
        Self::ApiKeyRepeated,
        Self::ApiKeyUnknown,
        Self::KeysUnavailable,
        Self::PathAmbiguous,
    ];

    fn as_str(self) -> &'static str {
        match self {
            Self::Allowed => "allowed",
            Self::Denied => "denied",
            Self::NotAllowed => "not_allowed",
            Self::Unauthenticated => "unauthenticated",
            Self::RequirementUnmet => "requirement_unmet",
            Self::InsufficientScope => "insufficient_scope",
            Self::TokenRepeated => "token_repeated",
            Self::TokenMalformed => "token_malformed",
            Self::TokenAlgorithm => "token_algorithm",
            Self::TokenKeyUnknown => "token_key_unknown",
            Self::SignatureInvalid => "signature_invalid",
            Self::TokenExpired => "token_expired",
            Self::TokenNotYetValid => "token_not_yet_valid",
            Self::TokenIssuer => "token_issuer",
            Self::TokenAudience => "token_audience",
            Self::TokenLifetime => "token_lifetime",
            Self::TokenRevoked => "token_revoked",
            Self::TokenBinding => "token_binding",
            Self::DpopMissing => "dpop_missing",
            Self::DpopInvalid => "dpop_invalid",
            Self::DpopReplayed => "dpop_replayed",
            Self::DpopUnavailable => "dpop_unavailable",
            Self::ApiKeyRepeated => "api_key_repeated",
            Self::ApiKeyUnknown => "api_key_unknown",
            Self::KeysUnavailable => "keys_unavailable",
            Self::PathAmbiguous => "path_ambiguous",
        }
    }

    fn by_rule(self) -> bool {
        matches!(
            self,
            Self::Allowed
                | Self::Denied
                | Self::PathAmbiguous
                | Self::Unauthenticated
                | Self::RequirementUnmet
                | Self::InsufficientScope
        )
    }
}

/// How a refusal is told to the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    /// The HTTP status.
    pub(crate) status: u16,
    /// The gRPC status.
    pub(crate) grpc_status: GrpcStatus,
    /// What the client is asked for.
    pub(crate) challenge: Option<Challenge>,
}

/// What a client is asked for in `www-authenticate` (RFC 9110 §11.6.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Challenge {
    /// To prove who it is, by any method that there is.
    Any,
    /// Another token, and what is wrong with this one (RFC 6750 §3.1).
    Token(&'static str),
    /// Another proof that the client has the key that its token is bound to (RFC 9449 §7.1).
    Proof,
    /// Another API key.
    ApiKey,
}

impl Reason {
    /// What the client is told; `None` for the one reason that lets it pass.
    pub(crate) fn answer(self) -> Option<Answer> {
        let (status, grpc_status, challenge) = match self {
            Self::Allowed => return None,
            Self::Denied | Self::NotAllowed | Self::PathAmbiguous | Self::RequirementUnmet => {
                (403, GrpcStatus::PermissionDenied, None)
            }
            Self::InsufficientScope => {
                (403, GrpcStatus::PermissionDenied, Some(Challenge::Token("insufficient_scope")))
            }
            Self::Unauthenticated => (401, GrpcStatus::Unauthenticated, Some(Challenge::Any)),
            Self::KeysUnavailable | Self::DpopUnavailable => (503, GrpcStatus::Unavailable, None),
            Self::TokenRepeated
            | Self::TokenMalformed
            | Self::TokenAlgorithm
            | Self::TokenKeyUnknown
            | Self::SignatureInvalid
            | Self::TokenExpired
            | Self::TokenNotYetValid
            | Self::TokenIssuer
            | Self::TokenAudience
            | Self::TokenLifetime
            | Self::TokenRevoked
            | Self::TokenBinding => {
                (401, GrpcStatus::Unauthenticated, Some(Challenge::Token("invalid_token")))
            }
            Self::DpopMissing | Self::DpopInvalid | Self::DpopReplayed => {
                (401, GrpcStatus::Unauthenticated, Some(Challenge::Proof))
            }
            Self::ApiKeyRepeated | Self::ApiKeyUnknown => {
                (401, GrpcStatus::Unauthenticated, Some(Challenge::ApiKey))
            }
        };
        Some(Answer { status, grpc_status, challenge })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use filter_core::decision::Reason as _;

    use super::*;

    #[test]
    fn every_reason_has_a_word_of_its_own() {
        let words: HashSet<_> = Reason::ALL.iter().map(|reason| reason.as_str()).collect();
        assert_eq!(words.len(), Reason::ALL.len());
    }

    #[test]
    fn only_a_missing_bad_or_weak_credential_is_challenged() {
        for reason in Reason::ALL {
            let answer = reason.answer();
            let challenged = answer.is_some_and(|answer| answer.challenge.is_some());
            let about_credential = *reason == Reason::InsufficientScope
                || answer.is_some_and(|answer| answer.status == 401);
            assert_eq!(challenged, about_credential, "{reason:?}");
        }
    }
}
