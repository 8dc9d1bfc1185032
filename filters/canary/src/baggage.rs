//! Decisions in W3C Baggage (Candidate Recommendation of 2024): one member of a list that belongs to others.
//!
//! Ours is `KEY=ROLLOUT:VERSION~ROLLOUT:VERSION`. All characters of it are ones that baggage takes as they are; a library
//! in between may have percent-encoded some.

use std::collections::BTreeMap;

use filter_core::{Edit, HeaderName, Headers};

/// The header's name.
pub(crate) const BAGGAGE: &str = "baggage";
/// What every platform must carry on (§3.3.2 "Limits"): so many members.
const MAX_MEMBERS: usize = 64;
/// And so many bytes.
const MAX_BYTES: usize = 8192;

/// The versions that were decided, by rollouts' names.
pub(crate) type Decided = BTreeMap<String, String>;

/// A `baggage` header, our member apart from the others.
#[derive(Debug)]
pub(crate) struct Baggage<'a> {
    key: &'a str,
    /// As they came, in order.
    others: Vec<&'a [u8]>,
    /// The values of ours, with what follows them.
    own: Vec<&'a [u8]>,
}

/// How the header comes to say what was decided.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Carried {
    /// By this edit; none if it says so already.
    By(Option<Edit>),
    /// Not at all, as it would become too long. The edit takes an old member of ours out.
    TooLong(Option<Edit>),
}

impl<'a> Baggage<'a> {
    /// The header, in all its copies, which are one list; `key` is that of our member.
    pub(crate) fn of(headers: Headers<'a>, key: &'a str) -> Self {
        let mut baggage = Self { key, others: Vec::new(), own: Vec::new() };
        for member in headers.copies(BAGGAGE).flat_map(|line| line.split(|byte| *byte == b',')) {
            let member = member.trim_ascii();
            let mut sides = member.splitn(2, |byte| *byte == b'=');
            match (sides.next().map(<[u8]>::trim_ascii_end), sides.next()) {
                (Some(name), Some(value)) if name == key.as_bytes() => baggage.own.push(value),
                // A bare key is no member, but nobody else may take it for one either.
                (Some(name), None) if name == key.as_bytes() => baggage.own.push(b""),
                _ if member.is_empty() => {}
                _ => baggage.others.push(member),
            }
        }
        baggage
    }

    /// What our member says; nothing if there is none, or several.
    pub(crate) fn decided(&self) -> Decided {
        let [value] = self.own.as_slice() else { return Decided::new() };
        let value = value.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
        let mut decided = Decided::new();
        let mut repeated = Vec::new();
        for entry in unescaped(value).split('~') {
            let Some((rollout, version)) = entry.split_once(':') else { continue };
            if decided.insert(rollout.to_owned(), version.to_owned()).is_some() {
                repeated.push(rollout.to_owned());
            }
        }
        repeated.iter().for_each(|rollout| drop(decided.remove(rollout)));
        decided
    }

    /// The header without our member, others in their order.
    pub(crate) fn without(&self) -> Option<Edit> {
        if self.own.is_empty() {
            return None;
        }
        let name = HeaderName::literal(BAGGAGE);
        Some(if self.others.is_empty() {
            Edit::Remove(name)
        } else {
            Edit::Set(name, self.others.join(&b","[..]))
        })
    }

    /// The header with our member behind the others, saying this.
    pub(crate) fn with(&self, decided: &Decided) -> Carried {
        if decided.is_empty() {
            return Carried::By(self.without());
        }
        let entries: Vec<String> =
            decided.iter().map(|(rollout, version)| format!("{rollout}:{version}")).collect();
        let value = entries.join("~");
        // Where it is there already, whatever stands around it may stay.
        if self.own == [value.as_bytes()] {
            return Carried::By(None);
        }
        let own = format!("{}={value}", self.key);
        let mut members = self.others.clone();
        members.push(own.as_bytes());
        let count = members.len();
        let list = members.join(&b","[..]);
        if count > MAX_MEMBERS || list.len() > MAX_BYTES {
            return Carried::TooLong(self.without());
        }
        Carried::By(Some(Edit::Set(HeaderName::literal(BAGGAGE), list)))
    }
}

/// A value with its escapes resolved (§3.2.1.3); what is then no text says nothing.
fn unescaped(value: &[u8]) -> String {
    let digit = |byte: &u8| char::from(*byte).to_digit(16).and_then(|d| u8::try_from(d).ok());
    let mut out = Vec::with_capacity(value.len());
    let mut rest = value;
    while let Some((byte, tail)) = rest.split_first() {
        rest = tail;
        let escape = match (byte, tail) {
            (b'%', [high, low, tail @ ..]) => digit(high).zip(digit(low)).map(|d| (d, tail)),
            _ => None,
        };
        match escape {
            Some(((high, low), tail)) => {
                out.push(high << 4 | low);
                rest = tail;
            }
            None => out.push(*byte),
        }
    }
    String::from_utf8(out).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use filter_core::HeaderMap;
    use proptest::prelude::*;

    use super::*;

    const KEY: &str = "outrigger.canary";

    fn decided(pairs: &[(&str, &str)]) -> Decided {
        pairs.iter().map(|(name, version)| ((*name).to_owned(), (*version).to_owned())).collect()
    }

    fn map(lines: &[&str]) -> HeaderMap {
        HeaderMap::from_pairs(lines.iter().map(|line| (BAGGAGE, *line)))
    }

    fn value(edit: Option<Edit>) -> Option<String> {
        edit.map(|edit| String::from_utf8(edit.value().unwrap_or_default().to_vec()).unwrap())
    }

    #[test]
    fn our_member_is_found_among_others() {
        for (lines, expected) in [
            (&["outrigger.canary=checkout:v2"][..], &[("checkout", "v2")][..]),
            (
                &["a=1,outrigger.canary = checkout:v2~cart:v1;p=1;q ,b=2"],
                &[("cart", "v1"), ("checkout", "v2")],
            ),
            (
                &["a=1", "outrigger.canary=checkout%3Av2%7Ecart%3av1"],
                &[("cart", "v1"), ("checkout", "v2")],
            ),
            (&["a=1"], &[]),
            (&[], &[]),
            (&["outrigger.canary=a:1,outrigger.canary=a:2"], &[]),
            (&["outrigger.canary=a:1", "outrigger.canary=a:1"], &[]),
            (&["outrigger.canary=a:1~a:2~b:1"], &[("b", "1")]),
            (&["Outrigger.Canary=a:1"], &[]),
            (&["x=outrigger.canary=a:1"], &[]),
            (&["outrigger.canary=a~b:1~%ff"], &[]),
            (&["outrigger.canary"], &[]),
        ] {
            let map = map(lines);
            let baggage = Baggage::of(Headers::new(&map, &[]), KEY);
            assert_eq!(baggage.decided(), decided(expected), "{lines:?}");
        }
    }

    #[test]
    fn only_ours_is_taken_out() {
        for (lines, rest) in [
            (&["a=1, outrigger.canary=x:y ,b=2;p"][..], Some("a=1,b=2;p")),
            (&["outrigger.canary=x:y"], Some("")),
            (&["a=1", "b=2,outrigger.canary"], Some("a=1,b=2")),
            (&["a=1"], None),
        ] {
            let map = map(lines);
            let baggage = Baggage::of(Headers::new(&map, &[]), KEY);
            assert_eq!(value(baggage.without()).as_deref(), rest, "{lines:?}");
        }
    }

    #[test]
    fn ours_comes_last_and_once() {
        let map = map(&["a=1,outrigger.canary=x:y,b=2"]);
        let baggage = Baggage::of(Headers::new(&map, &[]), KEY);
        let Carried::By(edit) = baggage.with(&decided(&[("x", "z"), ("c", "d")])) else { panic!() };
        assert_eq!(value(edit).unwrap(), "a=1,b=2,outrigger.canary=c:d~x:z");
        assert_eq!(baggage.with(&decided(&[("x", "y")])), Carried::By(None));
        assert_eq!(baggage.with(&Decided::new()), Carried::By(baggage.without()));
    }

    #[test]
    fn a_list_that_would_become_too_long_is_left_alone() {
        let says = decided(&[("x", "y")]);
        let with = |line: &str| {
            let map = map(&[line]);
            Baggage::of(Headers::new(&map, &[]), KEY).with(&says)
        };
        let many = |count: usize| vec!["a=1"; count].join(",");
        assert!(matches!(with(&many(63)), Carried::By(Some(_))));
        assert_eq!(with(&many(64)), Carried::TooLong(None));
        let own = ",outrigger.canary=x:y".len();
        let long = |length: usize| format!("a={}", "b".repeat(length - 2));
        assert!(matches!(with(&long(8192 - own)), Carried::By(Some(_))));
        assert_eq!(with(&long(8193 - own)), Carried::TooLong(None));
        // A client's member is gone all the same.
        let forged = format!("{},outrigger.canary=x:z", many(64));
        let Carried::TooLong(edit) = with(&forged) else { panic!() };
        assert_eq!(value(edit).unwrap(), many(64));
    }

    proptest! {
        #[test]
        fn others_keep_their_order_and_bytes(
            members in prop::collection::vec("[a-c]=[!#-+./-:<-~]{0,4}(;[a-c])?", 0..9),
            at in 0..9_usize, name in "[a-z._/-]{1,9}", version in "[a-z0-9._/-]{1,9}",
        ) {
            let mut forged = members.clone();
            forged.insert(at.min(members.len()), format!("{KEY}=forged:v9"));
            let map = map(&[&forged.join(",")]);
            let baggage = Baggage::of(Headers::new(&map, &[]), KEY);
            let says = decided(&[(&name, &version)]);
            let Carried::By(edit) = baggage.with(&says) else { panic!() };
            let text = value(edit).unwrap();
            let (others, own) = text.rsplit_once(&format!("{KEY}=")).unwrap();
            prop_assert_eq!(others.strip_suffix(',').unwrap_or(others), members.join(","));
            prop_assert_eq!(own, format!("{name}:{version}"));
            let map = HeaderMap::from_pairs([(BAGGAGE, &text)]);
            prop_assert_eq!(Baggage::of(Headers::new(&map, &[]), KEY).decided(), says);
        }
    }
}
