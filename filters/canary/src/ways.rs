//! The routes that lead to a rollout's versions, and whether a request took the one that was meant.

use filter_core::matching::StringPattern;
use filter_core::view::{Attribute, View};

use crate::guard::ending::NO_ANSWER;

/// How a version is known by the route that leads to it. What is not said does not matter.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Way {
    pub(crate) cluster: Option<StringPattern>,
    pub(crate) route: Option<StringPattern>,
    pub(crate) subset: Option<Subset>,
}

/// A subset of a DestinationRule, as Istio names its clusters: `outbound|PORT|SUBSET|HOST`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Subset {
    pub(crate) name: String,
    /// Any host if none is said.
    pub(crate) host: Option<String>,
}

/// Where a request went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Went {
    /// To this version, the first that is known so.
    To(usize),
    /// To none of them.
    Elsewhere,
    /// There was no route for it, or no cluster where the route led.
    NoRoute,
    /// Something before the router answered, or the client left first.
    NotRouted,
}

/// Envoy's response flags NR and NC.
const NO_ROUTE: i64 = 1 << 8 | 1 << 24;

/// What a response's details say where the router answered without a flag: what the upstream said, or what a route says
/// itself.
const ROUTED: [&[u8]; 2] = [b"via_upstream", b"direct_response"];

/// The attributes by which these ways are told.
pub(crate) fn attributes(ways: &[Way]) -> Vec<Attribute> {
    let by_cluster = ways.iter().any(|way| way.cluster.is_some() || way.subset.is_some());
    let by_route = ways.iter().any(|way| way.route.is_some());
    let mut told = vec![Attribute::ResponseFlags, Attribute::ResponseCodeDetails];
    told.extend(by_cluster.then_some(Attribute::ClusterName));
    told.extend(by_route.then_some(Attribute::RouteName));
    told
}

/// Where the request at hand went, `meant` being asked first where several versions are known alike. The proxy also has a
/// cluster and a route of requests that a filter behind us refused, and not always those that they would have got.
pub(crate) fn went(ways: &[Way], meant: Option<usize>, view: View<'_>) -> Went {
    let flags = view.number(Attribute::ResponseFlags).unwrap_or_default();
    if flags & NO_ROUTE != 0 {
        return Went::NoRoute;
    }
    let details = || view.text(Attribute::ResponseCodeDetails).unwrap_or_default();
    if flags & NO_ANSWER == 0 && !ROUTED.contains(&details().as_slice()) {
        return Went::NotRouted;
    }
    let cluster = view.text(Attribute::ClusterName).unwrap_or_default();
    let route = view.text(Attribute::RouteName).unwrap_or_default();
    let leads = |way: &Way| way.leads(&cluster, &route);
    if let Some(meant) = meant.filter(|meant| ways.get(*meant).is_some_and(leads)) {
        return Went::To(meant);
    }
    ways.iter().position(leads).map_or(Went::Elsewhere, Went::To)
}

impl Way {
    fn leads(&self, cluster: &[u8], route: &[u8]) -> bool {
        self.cluster.as_ref().is_none_or(|pattern| pattern.matches(cluster))
            && self.route.as_ref().is_none_or(|pattern| pattern.matches(route))
            && self.subset.as_ref().is_none_or(|subset| subset.is_of(cluster))
    }
}

impl Subset {
    fn is_of(&self, cluster: &[u8]) -> bool {
        let mut parts = cluster.split(|byte| *byte == b'|');
        let parts = [parts.next(), parts.next(), parts.next(), parts.next(), parts.next()];
        let [Some(b"outbound"), Some(_), Some(subset), Some(host), None] = parts else {
            return false;
        };
        let host_is_meant = self.host.as_ref().is_none_or(|meant| meant.as_bytes() == host);
        subset == self.name.as_bytes() && host_is_meant
    }
}

#[cfg(test)]
mod tests {
    use filter_core::Phase;
    use filter_core::fixture::FixtureExchange;
    use filter_core::view::Value;

    use super::*;

    const V2: &str = "outbound|80|v2|checkout.shop.svc.cluster.local";

    fn subset(name: &str, host: Option<&str>) -> Way {
        let subset = Subset { name: name.to_owned(), host: host.map(str::to_owned) };
        Way { subset: Some(subset), ..Way::default() }
    }

    fn cluster(pattern: &str) -> Way {
        Way { cluster: StringPattern::parse(pattern), ..Way::default() }
    }

    fn end(cluster: &str, route: &str, flags: i64, details: &str) -> FixtureExchange {
        let text = |text: &str| Value::Text(text.as_bytes().to_vec());
        let attributes = [
            (Attribute::ClusterName, text(cluster)),
            (Attribute::RouteName, text(route)),
            (Attribute::ResponseFlags, Value::Number(flags)),
            (Attribute::ResponseCodeDetails, text(details)),
        ];
        FixtureExchange { attributes: attributes.into(), ..FixtureExchange::default() }
    }

    fn went(ways: &[Way], meant: Option<usize>, end: &FixtureExchange) -> Went {
        super::went(ways, meant, View::new(end, Phase::Log, &[]))
    }

    #[test]
    fn a_subset_is_known_by_istios_name_of_its_cluster() {
        let leads = |way: Way, cluster: &str| way.leads(cluster.as_bytes(), b"");
        assert!(leads(subset("v2", None), V2));
        assert!(leads(subset("v2", Some("checkout.shop.svc.cluster.local")), V2));
        assert!(!leads(subset("v2", Some("cart.shop.svc.cluster.local")), V2));
        for other in
            ["outbound|80|v1|checkout", "outbound|80||v2", "inbound|80|v2|c", "v2", "a|b|v2|c|d"]
        {
            assert!(!leads(subset("v2", None), other), "{other}");
        }
    }

    #[test]
    fn what_went_elsewhere_is_told_from_what_went_nowhere() {
        let ways = [cluster("v1"), cluster("v2")];
        let answered = |cluster| end(cluster, "", 0, "via_upstream");
        assert_eq!(went(&ways, Some(1), &answered("v2")), Went::To(1));
        assert_eq!(went(&ways, Some(1), &answered("v1")), Went::To(0));
        assert_eq!(went(&ways, Some(1), &answered("v3")), Went::Elsewhere);
        // UF, UT: the cluster is that which failed.
        assert_eq!(went(&ways, Some(1), &end("v2", "", 1 << 5, "whatever")), Went::To(1));
        assert_eq!(went(&ways, Some(1), &end("v1", "", 1 << 2, "whatever")), Went::To(0));
        // NR, NC.
        assert_eq!(went(&ways, Some(1), &end("", "", 1 << 8, "route_not_found")), Went::NoRoute);
        assert_eq!(
            went(&ways, Some(1), &end("v1", "", 1 << 24, "cluster_not_found")),
            Went::NoRoute
        );
        // A later filter refused it, while the proxy had the route from before; the client left.
        assert_eq!(went(&ways, Some(1), &end("v1", "", 0, "rbac_access_denied")), Went::NotRouted);
        assert_eq!(went(&ways, Some(1), &end("v2", "", 1 << 14, "downstream")), Went::NotRouted);
    }

    #[test]
    fn all_that_is_said_must_hold() {
        let way = Way { route: StringPattern::parse("canary*"), ..cluster("v2") };
        let ways = [way];
        assert_eq!(went(&ways, None, &end("v2", "canary-1", 0, "via_upstream")), Went::To(0));
        assert_eq!(went(&ways, None, &end("v2", "main", 0, "via_upstream")), Went::Elsewhere);
        assert_eq!(went(&ways, None, &end("v1", "canary-1", 0, "via_upstream")), Went::Elsewhere);
    }

    #[test]
    fn of_versions_known_alike_the_one_that_was_meant_counts() {
        let ways = [cluster("v*"), cluster("v2")];
        let end = end("v2", "", 0, "via_upstream");
        assert_eq!(went(&ways, Some(1), &end), Went::To(1));
        assert_eq!(went(&ways, Some(0), &end), Went::To(0));
        assert_eq!(went(&ways, None, &end), Went::To(0));
    }

    #[test]
    fn no_more_is_asked_for_than_is_needed() {
        let flags = [Attribute::ResponseFlags, Attribute::ResponseCodeDetails];
        let with = |more: Attribute| [&flags[..], &[more]].concat();
        assert_eq!(attributes(&[cluster("v1")]), with(Attribute::ClusterName));
        assert_eq!(attributes(&[subset("v1", None)]), with(Attribute::ClusterName));
        let by_route = Way { route: StringPattern::parse("r"), ..Way::default() };
        assert_eq!(attributes(&[by_route]), with(Attribute::RouteName));
    }
}
