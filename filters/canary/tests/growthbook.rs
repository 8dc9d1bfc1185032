//! What GrowthBook's own tests expect (`packages/sdk-js/test/cases.json`, spec 0.8.0, MIT): who is in which variation, and
//! what sticky bucketing makes of it.
#![cfg(not(target_arch = "wasm32"))]
#![expect(clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

mod asked;

use asked::{Asked, Peer};

/// A rollout's fields, its weights, and users with their variations; none for those who are not in the experiment.
type Row = (&'static str, &'static [&'static str], &'static [(&'static str, Option<usize>)]);

/// The rows of `run` that are about drawing: default, uneven and three-way weights, coverage, names, missing ids, inactive
/// experiments, namespaces, seeds.
const RUN: &[Row] = &[
    (
        r#""hash":"growthbook-v1","salt":"my-test""#,
        &["50", "50"],
        &[
            ("1", Some(1)),
            ("2", Some(0)),
            ("3", Some(0)),
            ("4", Some(1)),
            ("5", Some(1)),
            ("6", Some(1)),
            ("7", Some(0)),
            ("8", Some(1)),
            ("9", Some(0)),
            ("1", Some(1)),
            ("", None),
            ("", None),
            ("", None),
            ("", None),
            ("1", Some(1)),
            ("1", Some(1)),
        ],
    ),
    (
        r#""hash":"growthbook-v1","salt":"my-test""#,
        &["10", "90"],
        &[
            ("1", Some(1)),
            ("2", Some(1)),
            ("3", Some(0)),
            ("4", Some(1)),
            ("5", Some(1)),
            ("6", Some(1)),
            ("7", Some(0)),
            ("8", Some(1)),
            ("9", Some(1)),
        ],
    ),
    (
        r#""hash":"growthbook-v1","salt":"my-test","coverage":40"#,
        &["50", "50"],
        &[
            ("1", None),
            ("2", Some(0)),
            ("3", Some(0)),
            ("4", None),
            ("5", Some(1)),
            ("6", None),
            ("7", Some(0)),
            ("8", Some(1)),
            ("9", None),
        ],
    ),
    (
        r#""hash":"growthbook-v1","salt":"my-test""#,
        &["33.3333", "33.3333", "33.3334"],
        &[
            ("1", Some(2)),
            ("2", Some(0)),
            ("3", Some(0)),
            ("4", Some(2)),
            ("5", Some(1)),
            ("6", Some(2)),
            ("7", Some(0)),
            ("8", Some(1)),
            ("9", Some(0)),
        ],
    ),
    (r#""hash":"growthbook-v1","salt":"my-test-3""#, &["50", "50"], &[("1", Some(0))]),
    (r#""hash":"growthbook-v1","salt":"my-test","killSwitch":true"#, &["50", "50"], &[("1", None)]),
    (
        r#""hash":"growthbook-v1","salt":"my-test","namespace":{"name":"namespace","from":10,"to":100}"#,
        &["50", "50"],
        &[("1", Some(1))],
    ),
    (
        r#""hash":"growthbook-v1","salt":"my-test","namespace":{"name":"namespace","from":0,"to":10}"#,
        &["50", "50"],
        &[("1", None)],
    ),
    (r#""hash":"growthbook-v1","salt":"no-coverage","coverage":0"#, &["50", "50"], &[("1", None)]),
    (r#""hash":"growthbook-v2","salt":"foo""#, &["50", "50"], &[("1", Some(1))]),
    (r#""hash":"growthbook-v2","salt":"foo","coverage":99"#, &["50", "50"], &[("1", Some(1))]),
];

fn document(fields: &str, weights: &[&str], shared: &str) -> String {
    let variant = |(index, weight)| format!(r#"{{"name":"{index}","weight":{weight}}}"#);
    let variants: Vec<String> = weights.iter().enumerate().map(variant).collect();
    format!(
        r#"{{{shared}"rollouts":[{{"name":"exp","header":"x-variation",{fields},"variants":[{}]}}]}}"#,
        variants.join(",")
    )
}

#[test]
fn users_are_in_the_variations_that_growthbook_has_them_in() {
    let mut count = 0;
    for (fields, weights, users) in RUN {
        let fields = format!(r#""key":[{{"header":"x-id"}}],{fields}"#);
        for (user, variation) in *users {
            let asked =
                Asked::of(&document(&fields, weights, ""), "/", Peer::None, &[("x-id", user)]);
            let expected: Vec<String> = variation.iter().map(ToString::to_string).collect();
            assert_eq!(asked.upstream("x-variation"), expected, "{fields} {user}");
            count += 1;
        }
    }
    assert_eq!(count, 50);
}

/// The experiment of `stickyBucket`, by its fields that differ.
fn experiment(key: &str, fields: &str, weights: &[&str]) -> String {
    let fields = format!(
        r#""key":{key},"hash":"growthbook-v2","salt":"feature-exp","stickyCookie":{{"name":"exp"}}{fields}"#
    );
    let keys =
        r#""signingKeys":[{"id":"k","secret":"YW4gZXhhbXBsZSBvZiBhIHNlY3JldCBvZiAzMiBieXQ="}],"#;
    document(&fields, weights, keys)
}

/// What a stored assignment is with us: the cookie that a user got when the variation had everybody.
fn stored(user: (&str, &str), version: u64, variation: usize) -> String {
    let mut weights = ["0", "0", "0"];
    *weights.get_mut(variation).unwrap() = "100";
    let key = format!(r#"[{{"header":"{}"}}]"#, user.0);
    let document = experiment(&key, &format!(r#","bucketVersion":{version}"#), &weights);
    let asked = Asked::of(&document, "/", Peer::None, &[user]);
    let [line] = &asked.cookies()[..] else { panic!("{:?}", asked.cookies()) };
    line.split(';').next().unwrap().to_owned()
}

/// A row of `stickyBucket`: `bucketVersion` and `minBucketVersion`, who asks, the assignment stored for whom, under which
/// version, and the variation; then what GrowthBook says.
struct Sticky {
    versions: (u64, u64),
    asks: &'static [(&'static str, &'static str)],
    stored: Option<((&'static str, &'static str), u64, usize)>,
    variation: Option<&'static str>,
    reason: &'static str,
}

const DEVICE: (&str, &str) = ("x-device-id", "d123");
const ID: (&str, &str) = ("x-id", "i123");
const ANONYMOUS: (&str, &str) = ("x-anonymous-id", "ses123");

const STICKY: &[Sticky] = &[
    // performs evaluation without sticky bucket
    Sticky {
        versions: (0, 0),
        asks: &[DEVICE],
        stored: None,
        variation: Some("1"),
        reason: "bucket",
    },
    // evaluates based on stored sticky bucket
    Sticky {
        versions: (0, 0),
        asks: &[DEVICE],
        stored: Some((DEVICE, 0, 2)),
        variation: Some("2"),
        reason: "sticky",
    },
    // does not consume a sticky bucket not belonging to the user
    Sticky {
        versions: (0, 0),
        asks: &[DEVICE],
        stored: Some((("x-device-id", "d456"), 0, 2)),
        variation: Some("1"),
        reason: "bucket",
    },
    // upgrades a sticky bucket doc from a fallbackAttribute to a hashAttribute
    Sticky {
        versions: (0, 0),
        asks: &[ID, ANONYMOUS],
        stored: Some((ANONYMOUS, 0, 1)),
        variation: Some("1"),
        reason: "sticky",
    },
    // resets sticky bucketing when the bucketVersion changes
    Sticky {
        versions: (3, 0),
        asks: &[ID],
        stored: Some((ID, 0, 1)),
        variation: Some("2"),
        reason: "bucket",
    },
    // stops test enrollment when and existing sticky bucket is blocked by version
    Sticky {
        versions: (3, 3),
        asks: &[ID],
        stored: Some((ID, 0, 1)),
        variation: None,
        reason: "excluded",
    },
    // uses a sticky bucket when sticky bucket version == experiment.minBucketVersion === experiment.bucketVersion
    Sticky {
        versions: (3, 3),
        asks: &[DEVICE],
        stored: Some((DEVICE, 3, 2)),
        variation: Some("2"),
        reason: "sticky",
    },
    // skips assignment when sticky bucket version < experiment.minBucketVersion
    Sticky {
        versions: (3, 3),
        asks: &[DEVICE],
        stored: Some((DEVICE, 2, 2)),
        variation: None,
        reason: "excluded",
    },
    // resets sticky bucketing when bucket version > experiment.bucketVersion (invalid version)
    Sticky {
        versions: (3, 3),
        asks: &[DEVICE],
        stored: Some((DEVICE, 4, 2)),
        variation: Some("1"),
        reason: "bucket",
    },
    // resets sticky bucketing when bucket version < experiment.bucketVersion (invalid version)
    Sticky {
        versions: (4, 3),
        asks: &[DEVICE],
        stored: Some((DEVICE, 3, 2)),
        variation: Some("1"),
        reason: "bucket",
    },
];

#[test]
fn a_stored_assignment_counts_as_with_growthbook() {
    let key = r#"[{"header":"x-id"},{"header":"x-device-id"},{"header":"x-anonymous-id"}]"#;
    for (index, row) in STICKY.iter().enumerate() {
        let (version, blocked) = row.versions;
        let versions = format!(r#","bucketVersion":{version},"minBucketVersion":{blocked}"#);
        let document = experiment(key, &versions, &["33.34", "33.33", "33.33"]);
        let cookie = row.stored.map(|(user, version, variation)| stored(user, version, variation));
        let mut lines = row.asks.to_vec();
        lines.extend(cookie.iter().map(|cookie| ("cookie", cookie.as_str())));
        let asked = Asked::of(&document, "/", Peer::None, &lines);
        let expected: Vec<String> = row.variation.map(str::to_owned).into_iter().collect();
        assert_eq!(asked.upstream("x-variation"), expected, "row {index}");
        let given = row.variation.unwrap_or("stable");
        assert_eq!(asked.evidence, [format!("{}:exp={given}", row.reason)], "row {index}");
    }
    // The assignment is stored for the new key then.
    let document = experiment(key, "", &["33.34", "33.33", "33.33"]);
    let before = stored(ANONYMOUS, 0, 1);
    let lines = [ID, ANONYMOUS, ("cookie", &before)];
    let upgraded = Asked::of(&document, "/", Peer::None, &lines).cookies();
    let cookie = upgraded[0].split(';').next().unwrap();
    let later = Asked::of(&document, "/", Peer::None, &[ID, ("cookie", cookie)]);
    assert_eq!((later.evidence[0].as_str(), later.cookies()), ("sticky:exp=1", vec![]));
    assert_eq!(later.upstream("x-variation"), ["1"]);
}
