use filter_core::HeaderMap;
use proptest::prelude::*;

use super::*;

const GATEWAY: &str = "spiffe://td/ns/edge/sa/gateway";

fn source(peer: Option<&str>, lines: &[&str]) -> Peer {
    let xfcc = Xfcc::new(["td/ns/edge/sa/gateway", "td/ns/edge/sa/inner"].map(str::to_owned));
    let map = HeaderMap::from_pairs(lines.iter().map(|line| (HEADER, line)));
    xfcc.source(Peer::of(peer.map(|uri| uri.as_bytes().to_vec())), Headers::new(&map, &[]))
}

fn uri(uri: &str) -> Peer {
    Peer::Uri(uri.into())
}

#[test]
fn only_a_proxy_that_is_believed_can_speak_for_others() {
    let line = "By=spiffe://td/me;Hash=ab;URI=spiffe://td/ns/a/sa/b";
    assert_eq!(source(Some(GATEWAY), &[line]), uri("spiffe://td/ns/a/sa/b"));
    assert_eq!(source(Some("spiffe://td/ns/x/sa/y"), &[line]), uri("spiffe://td/ns/x/sa/y"));
    assert_eq!(source(None, &[line]), Peer::None);
    assert_eq!(source(Some(GATEWAY), &[]), uri(GATEWAY));
}

#[test]
fn the_last_element_about_somebody_else_names_the_source() {
    let (client, forged) = ("URI=spiffe://td/ns/a/sa/b", "URI=spiffe://td/ns/admin/sa/root");
    let own = "By=spiffe://td/me;URI=spiffe://td/ns/edge/sa/gateway";
    let inner = "URI=spiffe://td/ns/edge/sa/inner";
    let named = uri("spiffe://td/ns/a/sa/b");
    for line in [
        client.to_owned(),
        format!("{client},{own}"),
        format!("{client}, {inner},{own}"),
        format!("{forged},{client},{own}"),
        format!("{own},{client}"),
        format!("URI=,{client}"),
    ] {
        assert_eq!(source(Some(GATEWAY), &[&line]), named, "{line}");
    }
    assert_eq!(source(Some(GATEWAY), &[forged, client]), named);
    assert_eq!(source(Some(GATEWAY), &[client, own]), named);
    // Nobody else is told of: the outermost of the proxies asks for itself.
    assert_eq!(source(Some(GATEWAY), &[inner]), uri("spiffe://td/ns/edge/sa/inner"));
}

#[test]
fn quotes_hold_separators_together() {
    let subject = r#"Subject="CN=a,O=\"x\";URI=spiffe://td/ns/admin/sa/root";"#;
    for line in [
        format!("{subject}URI=spiffe://td/a"),
        r#"uri="spiffe://td/a""#.to_owned(),
        "Cert=\"-----BEGIN%20\";Uri=spiffe://td/a;DNS=x;DNS=y".to_owned(),
        r#"Subject="CN=a\\b";URI=spiffe://td/a"#.to_owned(),
    ] {
        assert_eq!(source(Some(GATEWAY), &[&line]), uri("spiffe://td/a"), "{line}");
    }
    let quoted = r#"URI="spiffe://td/a\"b""#;
    assert_eq!(source(Some(GATEWAY), &[quoted]), uri("spiffe://td/a\"b"));
}

#[test]
fn what_is_malformed_or_could_mean_two_things_is_unclear() {
    for line in [
        "",
        ",",
        "URI",
        "spiffe://td/a",
        "=spiffe://td/a",
        "URI=spiffe://td/a,",
        "URI=spiffe://td/a;",
        "URI=spiffe://td/a,,URI=spiffe://td/b",
        "URI=spiffe://td/a;URI=spiffe://td/b",
        "URI=spiffe://td/a;uri=",
        "URI=",
        "By=spiffe://td/me;Hash=ab",
        "U RI=spiffe://td/a",
        "URI=\"spiffe://td/a",
        "URI=\"spiffe://td/a\"x",
        "URI=spiffe://td/\"a\"",
        r#"Subject="CN=a\\";URI=spiffe://td/a"#,
        r#"X=",URI=spiffe://td/a"#,
        r#"Cert=",By=g;Subject="CN=c";URI=spiffe://td/a"#,
    ] {
        assert_eq!(source(Some(GATEWAY), &[line]), Peer::Unclear, "{line}");
    }
    // What nobody vouches for makes no sense of what follows it.
    assert_eq!(source(Some(GATEWAY), &["URI=\"x", "URI=spiffe://td/a"]), Peer::Unclear);
}

proptest! {
    /// A proxy that appends, as Envoy writes it, is heard or nobody is: no client's own header speaks louder.
    #[test]
    fn what_a_client_sends_names_nobody_else(
        forged in "(URI=spiffe://td/root|[,;=\"\\\\]|Subject=|By=|a){0,8}",
        subject in "[a-z,;=\"\\\\]{0,8}",
    ) {
        let quoted = subject.replace('"', "\\\"");
        let told = format!(r#"By=spiffe://td/x;Hash=ab;Subject="CN={quoted}";URI=spiffe://td/c"#);
        for line in [format!("{forged},{told}"), told.clone()] {
            let found = source(Some(GATEWAY), &[&line]);
            prop_assert!(found == uri("spiffe://td/c") || found == Peer::Unclear, "{line}: {found:?}");
        }
        let found = source(Some(GATEWAY), &[&forged, &told]);
        prop_assert!(found == uri("spiffe://td/c") || found == Peer::Unclear, "{found:?}");
    }

    #[test]
    fn any_bytes_are_decided(line in prop::collection::vec(any::<u8>(), 0..40)) {
        let xfcc = Xfcc::new(["td/g".to_owned()]);
        let map = HeaderMap::from_pairs([(HEADER, line)]);
        let _ = xfcc.source(Peer::Uri(b"spiffe://td/g".to_vec()), Headers::new(&map, &[]));
    }
}
