//! What is believed of tokens, by law.

use std::sync::LazyLock;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use filter_core::HeaderMap;
use filter_core::fixture::World;
use proptest::prelude::*;
use serde_json::json;

use super::tests::{corpus, identify, mint};
use super::*;

static GOOD: LazyLock<[String; 2]> = LazyLock::new(|| {
    ["rs256", "es256"].map(|key| mint(json!({ "key": key, "claims": { "sub": "a" } })))
});

proptest! {
    #[test]
    fn no_bytes_panic_or_are_believed(value in prop::collection::vec(any::<u8>(), 0..200)) {
        let map = HeaderMap::from_pairs([("authorization", [b"Bearer ", value.as_slice()].concat())]);
        let issuers = corpus();
        let identity = issuers.identify(Headers::new(&map, &[]), &World::default().ports());
        prop_assert!(identity.is_err());
    }

    #[test]
    fn nothing_token_like_is_believed(
        header in prop::sample::select(vec!["RS256", "ES256", "none", "HS256"]),
        kid in "(rs256|es256|x)",
        payload in prop::collection::vec(any::<u8>(), 0..60),
        length in prop::sample::select(vec![0_usize, 64, 256]),
        signature in prop::collection::vec(any::<u8>(), 256),
    ) {
        let text = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        let header = format!(r#"{{"alg":"{header}","kid":"{kid}"}}"#);
        let token = format!("{}.{}.{}", text(header.as_bytes()), text(&payload), text(&signature[..length]));
        prop_assert!(identify(&corpus(), &token).is_err());
    }

    #[test]
    fn a_good_token_with_one_byte_changed_is_refused(
        which in 0_usize..2,
        at in any::<prop::sample::Index>(),
        byte in any::<u8>(),
    ) {
        let mut token = GOOD[which].clone().into_bytes();
        let at = at.index(token.len());
        prop_assume!(token[at] != byte);
        token[at] = byte;
        let map = HeaderMap::from_pairs([("authorization", [b"Bearer ", token.as_slice()].concat())]);
        let issuers = corpus();
        let identity = issuers.identify(Headers::new(&map, &[]), &World::default().ports());
        prop_assert!(identity.is_err());
    }
}
