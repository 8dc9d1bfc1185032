//! Values from traffic as labels: nothing in them can end a label, forge one, or be taken for one by the proxy.

use filter_core::metrics::LabelValue;

/// The longest value that is shown, in bytes.
const LONGEST: usize = 64;

/// What Istio's own `stats_tags` look for anywhere in a stat's name, up to a dot. A value must not hold it.
const MARKS: [&str; 4] = ["cache.", "component.", "tag.", "wasm_filter."];

/// A value that can be a label, and whether it had to be changed to be one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Clean {
    /// The value.
    pub(crate) value: LabelValue,
    /// Whether it is not what was sent.
    pub(crate) changed: bool,
}

impl Clean {
    /// What was sent, made a label; `None` if nothing was. Control characters, `;`, `=` and what is no UTF-8 become `_`,
    /// and it ends after 64 bytes.
    #[inline(never)]
    pub(crate) fn of(sent: &[u8]) -> Option<Self> {
        let text = String::from_utf8_lossy(sent);
        let plain = |c: char| {
            let marked = c.is_control() || matches!(c, ';' | '=' | char::REPLACEMENT_CHARACTER);
            if marked { '_' } else { c }
        };
        let mut kept = String::new();
        for c in text.chars().map(plain) {
            if kept.len().saturating_add(c.len_utf8()) > LONGEST {
                break;
            }
            kept.push(c);
        }
        for mark in MARKS {
            if kept.contains(mark) {
                kept = kept.replace(mark, &mark.replace('.', "_"));
            }
        }
        let value = LabelValue::parse(&kept)?;
        Some(Self { changed: kept.as_bytes() != sent, value })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_could_forge_a_label_is_taken_out() {
        for (sent, kept) in [
            (&b"acme"[..], "acme"),
            (b"a;.;tenant=.=evil", "a_._tenant_._evil"),
            (b"a\nb\0c", "a_b_c"),
            (b"\xff\xfe", "__"),
            (b"x.component.y.", "x.component_y."),
            (b"a\"b\\c{d}", "a\"b\\c{d}"),
        ] {
            let clean = Clean::of(sent).unwrap();
            assert_eq!(clean.value.as_str(), kept);
            assert_eq!(clean.changed, kept.as_bytes() != sent, "{kept}");
        }
        assert_eq!(Clean::of(b""), None);
    }

    #[test]
    fn a_value_ends_at_a_whole_character() {
        let long = Clean::of("é".repeat(50).as_bytes()).unwrap();
        assert_eq!(long.value.as_str(), "é".repeat(32));
        assert!(long.changed);
    }

    proptest! {
        #[test]
        fn whatever_is_sent_is_clean_at_once(sent in prop::collection::vec(any::<u8>(), 1..200)) {
            let clean = Clean::of(&sent).unwrap();
            prop_assert!(clean.value.as_str().len() <= LONGEST);
            prop_assert!(MARKS.iter().all(|mark| !clean.value.as_str().contains(mark)));
            let again = Clean::of(clean.value.as_str().as_bytes()).unwrap();
            prop_assert_eq!(&again.value, &clean.value);
            prop_assert!(!again.changed);
        }
    }
}
