//! Principals in meshes of several trust domains.

/// A principal in all its trust domains. As in Istio, `cluster.local` means the mesh's own, and a principal that leaves
/// its trust domain open, or is not written `TRUST-DOMAIN/ns/NAMESPACE/sa/ACCOUNT`, stays as it is.
pub(in crate::config) fn aliases(principal: &str, trust_domains: &[String]) -> Vec<String> {
    let own = || vec![principal.to_owned()];
    let Some((domain, rest)) = principal.split_once('/') else { return own() };
    let means = |trust_domain: &String| match domain.strip_prefix('*') {
        Some(suffix) => trust_domain.ends_with(suffix),
        None => trust_domain == domain,
    };
    let ours = domain == "cluster.local" || trust_domains.iter().any(means);
    if trust_domains.is_empty() || domain == "*" || rest.split('/').count() != 4 || !ours {
        return own();
    }
    let mut all: Vec<String> = Vec::new();
    for trust_domain in trust_domains {
        let alias = if means(trust_domain) {
            principal.to_owned()
        } else {
            format!("{trust_domain}/{rest}")
        };
        if !all.contains(&alias) {
            all.push(alias);
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_principal_is_known_in_every_trust_domain() {
        let domains = ["td1", "td2", "some-td"].map(str::to_owned);
        let of = |principal| aliases(principal, &domains).join(" ");
        // istio/istio, pilot/pkg/security/trustdomain and authz/builder/testdata/http/simple-policy-*td-aliases*.
        assert_eq!(of("td2/ns/a/sa/b"), "td1/ns/a/sa/b td2/ns/a/sa/b some-td/ns/a/sa/b");
        assert_eq!(of("cluster.local/ns/a/sa/b"), "td1/ns/a/sa/b td2/ns/a/sa/b some-td/ns/a/sa/b");
        assert_eq!(of("*-td/ns/a/sa/b"), "td1/ns/a/sa/b td2/ns/a/sa/b *-td/ns/a/sa/b");
        assert_eq!(of("other/ns/a/sa/b"), "other/ns/a/sa/b");
        assert_eq!(of("*/ns/a/sa/b"), "*/ns/a/sa/b");
        assert_eq!(of("td1/*"), "td1/*");
        assert_eq!(aliases("cluster.local/ns/a/sa/b", &[]), ["cluster.local/ns/a/sa/b"]);
    }
}
