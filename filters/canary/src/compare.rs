//! Whether a configuration lets everybody keep the variant that the running one gives them, or says that it does not.
//!
//! A proxy cannot know what ran before it; whoever has both documents can ask. What is drawn is compared, at one time: not
//! rules that exclude requests or give them a version, which say by themselves whom they move.

use std::time::Duration;

use filter_core::Invalid;

use crate::config::{self, Holdout, Mode, Plan, Rollout};

/// The faults in `next`, held against `running`, at a time since the Unix epoch; none if nobody whom `running` gives a
/// variant by their bucket gets another version. A rollout whose `bucketVersion` is larger may move its users, and one that
/// is gone, switched off or in shadow has none.
///
/// # Errors
/// When `next` or `running` is no configuration.
pub fn compare(running: &[u8], next: &[u8], now: Duration) -> Result<Vec<Invalid>, Invalid> {
    let (running, next) = (config::parse(running)?, config::parse(next)?);
    let mut faults = Vec::new();
    for (index, rollout) in next.rollouts.iter().enumerate() {
        let Some(before) = running.same(rollout) else { continue };
        let (version, was) = (rollout.bucket_version, before.bucket_version);
        let own = format!("/rollouts/{index}");
        if version < was {
            let expected = format!("at least {was}, as it runs");
            faults.push(Invalid::at(format!("{own}/bucketVersion"), expected, version.to_string()));
        }
        if version != was || before.mode == Mode::Shadow {
            continue;
        }
        faults.extend(rollout.moves(before, now).into_iter().map(|fault| fault.under(&own)));
        let kept = next.holdout.as_ref().is_none_or(|holdout| {
            holdout.weight.parts() == 0
                || running.holdout.as_ref().is_some_and(|before| holdout.within(before))
        });
        if !kept && !faults.iter().any(|fault| fault.pointer == "/holdout") {
            let expected = "a holdout that takes no user of a running rollout";
            faults.push(Invalid::at("/holdout", expected, "another salt or a larger weight"));
        }
    }
    Ok(faults)
}

impl Plan {
    /// The rollout that this one is a later form of: of the same name, or else of the same header.
    fn same(&self, later: &Rollout) -> Option<&Rollout> {
        let named = self.rollouts.iter().find(|rollout| rollout.name == later.name);
        named.or_else(|| {
            let headed =
                |rollout: &&Rollout| rollout.header.is_some() && rollout.header == later.header;
            self.rollouts.iter().find(headed)
        })
    }
}

impl Holdout {
    /// Whether everybody who is held out was so before.
    fn within(&self, before: &Self) -> bool {
        self.salt == before.salt && self.weight <= before.weight
    }
}

const UNLESS: &str = "or a larger `bucketVersion`";

impl Rollout {
    /// How users would be moved, by pointers in the rollout.
    fn moves(&self, before: &Self, now: Duration) -> Vec<Invalid> {
        let mut faults = Vec::new();
        let mut fault = |pointer: &str, expected: String, found: String| {
            faults.push(Invalid::at(pointer, format!("{expected}, {UNLESS}"), found));
        };
        if self.hash != before.hash {
            fault("/hash", format!("{:?}, as it runs", before.hash), format!("{:?}", self.hash));
        }
        if self.salt != before.salt {
            fault("/salt", format!("`{}`, as it runs", before.salt), format!("`{}`", self.salt));
        }
        if self.key != before.key {
            fault("/key", "the key that runs".to_owned(), "another".to_owned());
        }
        let within = self.namespace.as_ref().is_none_or(|namespace| {
            before.namespace.as_ref().is_some_and(|before| {
                namespace.name == before.name
                    && namespace.from <= before.from
                    && namespace.to >= before.to
            })
        });
        if !within {
            let expected = "a namespace with everybody of the one that runs";
            fault("/namespace", expected.to_owned(), "another".to_owned());
        }
        if !self.variants.starts_with(&before.variants) {
            let names = before.variants.iter().map(|name| format!("`{name}`"));
            let names = names.collect::<Vec<_>>().join(", ");
            let expected = format!("the variants that run first, in their order: {names}");
            fault("/variants", expected, "others".to_owned());
            return faults;
        }
        let (was, is) = (before.shares.layout(now), self.shares.layout(now));
        for (index, (parts, name)) in was.lost(&is).into_iter().zip(&before.variants).enumerate() {
            if parts > 0 {
                let expected = format!("everybody who has `{name}` to keep it");
                let found = format!("{}.{:04} % who would not", parts / 10_000, parts % 10_000);
                fault(&format!("/variants/{index}"), expected, found);
            }
        }
        faults
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT: Duration = Duration::from_secs(1_772_442_000); // 2026-03-02T09:00:00Z

    fn rollout(fields: &str) -> String {
        format!(
            r#"{{"rollouts":[{{"name":"checkout","header":"x-canary","key":[{{"header":"x-user"}}],{fields}}}]}}"#
        )
    }

    /// Where the faults are.
    fn faults(running: &str, next: &str) -> Vec<String> {
        let faults = compare(running.as_bytes(), next.as_bytes(), AT).unwrap();
        faults.into_iter().map(|fault| fault.pointer).collect()
    }

    fn changed(running: &str, next: &str) -> Vec<String> {
        faults(&rollout(running), &rollout(next))
    }

    const FIVE: &str = r#""variants":[{"name":"v2","weight":5}]"#;

    #[test]
    fn what_grows_is_well() {
        assert_eq!(changed(FIVE, FIVE), [""; 0]);
        assert_eq!(changed(FIVE, r#""variants":[{"name":"v2","weight":50}]"#), [""; 0]);
        let appended = r#""variants":[{"name":"v2","weight":5},{"name":"v3","weight":9}]"#;
        assert_eq!(changed(FIVE, appended), [""; 0]);
        assert_eq!(
            changed(FIVE, r#""killSwitch":true,"variants":[{"name":"v2","weight":5}]"#),
            [""; 0]
        );
    }

    #[test]
    fn what_shrinks_is_refused_unless_it_says_so() {
        let four = r#""variants":[{"name":"v2","weight":4}]"#;
        assert_eq!(changed(FIVE, four), ["/rollouts/0/variants/0"]);
        assert_eq!(changed(FIVE, &format!(r#""bucketVersion":1,{four}"#)), [""; 0]);
        let faults = compare(rollout(FIVE).as_bytes(), rollout(four).as_bytes(), AT).unwrap();
        assert_eq!(
            faults[0].to_string(),
            "at \"/rollouts/0/variants/0\": expected everybody who has `v2` to keep it, or a larger \
             `bucketVersion`, found 1.0000 % who would not"
        );
    }

    #[test]
    fn whoever_is_drawn_anew_is_told() {
        for (field, pointer) in [
            (r#""salt":"other""#, "/rollouts/0/salt"),
            (r#""namespace":{"name":"a","from":0,"to":50}"#, "/rollouts/0/namespace"),
        ] {
            assert_eq!(changed(FIVE, &format!("{field},{FIVE}")), [pointer]);
            assert_eq!(changed(FIVE, &format!(r#""bucketVersion":1,{field},{FIVE}"#)), [""; 0]);
            assert_eq!(
                changed(&format!(r#""mode":"shadow",{FIVE}"#), &format!("{field},{FIVE}")),
                [""; 0]
            );
        }
        let hash = format!(r#""hash":"flagd",{FIVE}"#);
        assert_eq!(changed(FIVE, &hash), ["/rollouts/0/hash"]);
        let key = rollout(FIVE).replace("x-user", "x-other");
        assert_eq!(faults(&rollout(FIVE), &key), ["/rollouts/0/key"]);
        // A new name is a new salt, where the header is the same.
        let renamed = rollout(FIVE).replace("\"checkout\"", "\"cart\"");
        assert_eq!(faults(&rollout(FIVE), &renamed), ["/rollouts/0/salt"]);
        let holdout = rollout(FIVE).replacen('{', r#"{"holdout":{"weight":1},"#, 1);
        assert_eq!(faults(&rollout(FIVE), &holdout), ["/holdout"]);
        assert_eq!(faults(&holdout, &rollout(FIVE)), [""; 0]);
        assert_eq!(
            changed(&format!(r#""bucketVersion":1,{FIVE}"#), FIVE),
            ["/rollouts/0/bucketVersion"]
        );
    }

    #[test]
    fn variants_keep_their_places() {
        let two = r#""variants":[{"name":"v2","weight":5},{"name":"v3","weight":5}]"#;
        for next in [
            r#""variants":[{"name":"v3","weight":5},{"name":"v2","weight":5}]"#,
            r#""variants":[{"name":"v0","weight":0},{"name":"v2","weight":5},{"name":"v3","weight":5}]"#,
            FIVE,
        ] {
            assert_eq!(changed(two, next), ["/rollouts/0/variants"], "{next}");
        }
        // A platform's variants follow each other: what grows pushes the next one away.
        let flagd = |weight| {
            format!(
                r#""hash":"flagd","variants":[{{"name":"a","weight":{weight}}},{{"name":"b","weight":50}}]"#
            )
        };
        assert_eq!(changed(&flagd(10), &flagd(20)), ["/rollouts/0/variants/1"]);
        assert_eq!(changed(&flagd(10), &flagd(10)), [""; 0]);
    }

    #[test]
    fn ramps_count_as_they_are_now() {
        let ramp = |start: &str| {
            format!(
                r#""variants":[{{"name":"v2","ramp":{{"from":0,"to":50,"start":"{start}","duration":"10h"}}}}]"#
            )
        };
        let (early, late) = (ramp("2026-03-02T00:00:00Z"), ramp("2026-03-02T08:00:00Z"));
        assert_eq!(changed(&late, &early), [""; 0]);
        assert_eq!(changed(&early, &late), ["/rollouts/0/variants/0"]);
        assert_eq!(changed(&late, FIVE), [""; 0]);
        assert_eq!(changed(&early, FIVE), ["/rollouts/0/variants/0"]);
    }
}
