//! Who pushes: what `docker login` and `podman login` leave in a file.

use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use oci_client::Reference;
use oci_client::secrets::RegistryAuth;
use serde_json::Value;

/// Where the container tools keep it: `$DOCKER_CONFIG/config.json`, else `~/.docker/config.json`.
pub(crate) fn file() -> Option<PathBuf> {
    let named = std::env::var_os("DOCKER_CONFIG").filter(|folder| !folder.is_empty());
    let folder = named
        .map(PathBuf::from)
        .or_else(|| std::env::home_dir().map(|home| home.join(".docker")))?;
    Some(folder.join("config.json"))
}

/// The credentials for a registry in the text of such a file; `Anonymous` if it has none.
pub(crate) fn find(text: &[u8], reference: &Reference) -> Result<RegistryAuth, String> {
    let config: Value =
        serde_json::from_slice(text).map_err(|error| format!("it is not JSON: {error}"))?;
    let hosts = [reference.registry(), reference.resolve_registry()];
    let ours = |key: &str| hosts.contains(&host(key));
    let entries = config.get("auths").and_then(Value::as_object);
    let Some((key, entry)) = entries.into_iter().flatten().find(|(key, _)| ours(key)) else {
        return Ok(RegistryAuth::Anonymous);
    };
    let member = |name| entry.get(name).and_then(Value::as_str).filter(|text| !text.is_empty());
    if let Some(token) = member("registrytoken") {
        return Ok(RegistryAuth::Bearer(token.to_owned()));
    }
    if member("identitytoken").is_some() {
        let told = "holds an identity token, which is not understood here";
        return Err(format!("the entry for {key} {told}; use --username"));
    }
    if let (Some(username), Some(password)) = (member("username"), member("password")) {
        return Ok(RegistryAuth::Basic(username.to_owned(), password.to_owned()));
    }
    let Some(auth) = member("auth") else {
        let told = "holds no password; one that a credential helper keeps is not asked for";
        return Err(format!("the entry for {key} {told}: use --username"));
    };
    let decoded = STANDARD.decode(auth).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    let pair = decoded.as_deref().and_then(|text| text.split_once(':'));
    pair.map(|(username, password)| RegistryAuth::Basic(username.to_owned(), password.to_owned()))
        .ok_or_else(|| format!("the entry for {key} is not base64 of USER:PASSWORD"))
}

/// The host in a key of `auths`, which may be a URL.
fn host(key: &str) -> &str {
    let rest = key.split_once("://").map_or(key, |(_, rest)| rest);
    rest.split_once('/').map_or(rest, |(host, _)| host)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str, reference: &str) -> Result<RegistryAuth, String> {
        find(text.as_bytes(), &Reference::try_from(reference).unwrap())
    }

    fn basic(username: &str, password: &str) -> Result<RegistryAuth, String> {
        Ok(RegistryAuth::Basic(username.to_owned(), password.to_owned()))
    }

    #[test]
    fn each_registry_gets_its_own_credentials() {
        let auths = r#"{"auths": {
            "a.example:5000": {"auth": "YW5uOng6eQ=="},
            "https://b.example/v2/": {"username": "bob", "password": "p"},
            "https://index.docker.io/v1/": {"auth": "ZXZlOnE="},
            "c.example": {"registrytoken": "t", "auth": "eA=="}
        }}"#;
        assert_eq!(found(auths, "a.example:5000/x:1"), basic("ann", "x:y"));
        assert_eq!(found(auths, "b.example/x:1"), basic("bob", "p"));
        assert_eq!(found(auths, "mesh/x:1"), basic("eve", "q"));
        assert_eq!(found(auths, "c.example/x:1"), Ok(RegistryAuth::Bearer("t".to_owned())));
        for other in ["a.example/x:1", "a.example:5001/x:1", "xb.example/x:1"] {
            assert_eq!(found(auths, other), Ok(RegistryAuth::Anonymous));
        }
        assert_eq!(found("{}", "a.example/x:1"), Ok(RegistryAuth::Anonymous));
    }

    #[test]
    fn what_is_not_understood_is_told_without_its_secret() {
        for (entry, told) in [
            (r#"{"identitytoken": "SECRET"}"#, "the entry for a.example holds an identity token"),
            ("{}", "the entry for a.example holds no password"),
            (r#"{"auth": "SECRET!"}"#, "the entry for a.example is not base64"),
            (r#"{"auth": "U0VDUkVU"}"#, "the entry for a.example is not base64"),
        ] {
            let text = format!(r#"{{"auths": {{"a.example": {entry}}}}}"#);
            let error = found(&text, "a.example/x:1").unwrap_err();
            assert!(error.starts_with(told), "{error}");
            assert!(!error.contains("SECRET") && !error.contains("U0VD"), "{error}");
        }
        assert!(found("[", "a.example/x:1").unwrap_err().starts_with("it is not JSON"));
    }
}
