//! Where an image goes: `REGISTRY/REPOSITORY:TAG`.

use oci_client::Reference;

/// A reference with a tag of its own. `latest` is never implied: Istio pulls it anew whenever the plugin changes.
pub(crate) fn parse(text: &str) -> Result<Reference, String> {
    if text.contains('@') {
        return Err(format!("`{text}` has a digest; name a tag, and the digest is printed"));
    }
    let tagged = text.rsplit('/').next().is_some_and(|last| last.contains(':'));
    if !tagged {
        return Err(format!("`{text}` has no tag"));
    }
    if text.contains("://") {
        return Err(format!("`{text}` is a URL; a reference is REGISTRY/REPOSITORY:TAG"));
    }
    Reference::try_from(text).map_err(|error| format!("`{text}` is not a reference: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reference_has_a_registry_a_repository_and_a_tag() {
        let parsed = parse("registry.example:5000/mesh/authz:0.1.0").unwrap();
        assert_eq!(parsed.registry(), "registry.example:5000");
        assert_eq!(parsed.repository(), "mesh/authz");
        assert_eq!(parsed.tag(), Some("0.1.0"));
    }

    #[test]
    fn what_is_no_reference_is_told() {
        for (text, told) in [
            ("registry.example:5000/authz", "`registry.example:5000/authz` has no tag"),
            ("a/b@sha256:00", "`a/b@sha256:00` has a digest"),
            ("oci://a.example/b:1", "`oci://a.example/b:1` is a URL"),
            ("a.example/B:1", "`a.example/B:1` is not a reference"),
            ("a.example/b:", "`a.example/b:` is not a reference"),
            ("", "`` has no tag"),
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.starts_with(told), "{error}");
        }
    }
}
