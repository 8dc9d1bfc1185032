//! An image on its way to a registry.

use std::error::Error;
use std::time::Duration;

use oci_client::client::{Certificate, CertificateEncoding, ClientConfig, ClientProtocol};
use oci_client::errors::{OciDistributionError, OciEnvelope};
use oci_client::secrets::RegistryAuth;
use oci_client::{Client, Reference, RegistryOperation};
use serde_json::Value;

use crate::image::{self, Image};

/// How long a registry may take to accept a connection, and to say anything on one.
const PATIENCE: Duration = Duration::from_secs(60);

/// How to get into a registry.
#[derive(Debug)]
pub(crate) struct Access {
    /// HTTP without TLS.
    pub(crate) plain_http: bool,
    /// The authorities to be trusted instead of the system's, as PEM.
    pub(crate) authorities: Option<Vec<u8>>,
    pub(crate) auth: RegistryAuth,
}

/// Pushes the image's bytes as they are, the manifest last.
pub(crate) fn push(image: &Image, reference: &Reference, access: Access) -> Result<(), String> {
    // Only the first installs one, and there is no other.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let protocol = match access.plain_http {
        true => ClientProtocol::Http,
        false => ClientProtocol::Https,
    };
    let pem = |data| Certificate { encoding: CertificateEncoding::Pem, data };
    let client = Client::try_from(ClientConfig {
        protocol,
        // One request a blob, which every registry understands.
        use_monolithic_push: true,
        tls_certs_only: access.authorities.into_iter().map(pem).collect(),
        connect_timeout: Some(PATIENCE),
        read_timeout: Some(PATIENCE),
        user_agent: concat!("outrigger/", env!("CARGO_PKG_VERSION")),
        ..ClientConfig::default()
    })
    .map_err(|error| root(&error))?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| error.to_string())?;
    runtime
        .block_on(async {
            client.auth(reference, &access.auth, RegistryOperation::Push).await?;
            for blob in [&image.layer, &image.config] {
                client.push_blob(reference, blob.clone(), &image::digest(blob)).await?;
            }
            let kind = image::MANIFEST_TYPE.parse().map_err(|_| {
                OciDistributionError::UnsupportedMediaTypeError(image::MANIFEST_TYPE.to_owned())
            })?;
            client.push_manifest_raw(reference, image.manifest.clone(), kind).await
        })
        .map(drop)
        .map_err(|error| told(&error))
}

/// The error in the words of somebody who wants to push.
fn told(error: &OciDistributionError) -> String {
    match error {
        OciDistributionError::RequestError(error) => match error.status() {
            Some(status) => answered(status.as_u16(), ""),
            None => unreachable(&root(error)),
        },
        OciDistributionError::AuthenticationFailure(body) => answered(401, body),
        OciDistributionError::UnauthorizedError { .. } => answered(401, ""),
        OciDistributionError::ServerError { code, message, .. } => answered(*code, message),
        error => root(error),
    }
}

fn unreachable(cause: &str) -> String {
    let hint = if cause.contains("InvalidContentType") {
        "; if it speaks plain HTTP, say --plain-http"
    } else if cause.contains("UnknownIssuer") {
        "; if its authority is your own, name it with --ca-file"
    } else {
        ""
    };
    format!("the registry cannot be reached: {cause}{hint}")
}

fn answered(status: u16, body: &str) -> String {
    let meaning = match status {
        401 => "not authorized",
        403 => "not allowed",
        404 => "not found: it keeps no such repository, or is no registry",
        _ => "the registry does not take it",
    };
    match said(body) {
        Some(said) => format!("{meaning} (status {status}: {said})"),
        None => format!("{meaning} (status {status})"),
    }
}

/// What the registry itself says, in one line.
fn said(body: &str) -> Option<String> {
    let errors = match serde_json::from_str::<OciEnvelope>(body) {
        Ok(envelope) => envelope.errors,
        Err(_) => return None,
    };
    let error = errors.into_iter().next()?;
    let code = serde_json::to_value(&error.code).ok()?;
    let code = code.as_str().unwrap_or_default().to_lowercase();
    let detail = match error.detail {
        Value::String(detail) => format!(", {detail}"),
        _ => String::new(),
    };
    let line = format!("{code}: {}{detail}", error.message);
    Some(line.split_whitespace().collect::<Vec<_>>().join(" "))
}

/// The first cause of an error: those above it say only where it happened.
fn root(error: &dyn Error) -> String {
    let mut error = error;
    while let Some(cause) = error.source() {
        error = cause;
    }
    error.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_told_in_one_line() {
        let body = r#"{"errors":[{"code":"NAME_UNKNOWN","message":"no\n such name","detail":{}}]}"#;
        assert_eq!(
            answered(404, body),
            "not found: it keeps no such repository, or is no registry \
             (status 404: name_unknown: no such name)"
        );
        assert_eq!(answered(401, "<html>\n"), "not authorized (status 401)");
        let body = r#"{"errors":[{"code":"X","message":"full","detail":"by 1 MB"}]}"#;
        assert_eq!(
            answered(507, body),
            "the registry does not take it (status 507: x: full, by 1 MB)"
        );
    }

    #[test]
    fn what_helps_is_said_with_the_cause() {
        for (cause, told) in [
            ("invalid peer certificate: UnknownIssuer", "--ca-file"),
            ("received corrupt message of type InvalidContentType", "--plain-http"),
        ] {
            assert!(unreachable(cause).ends_with(told), "{}", unreachable(cause));
        }
    }
}
