//! Strings that must say something.

/// Declares a string that must say something: what it is read as, how, and what is expected.
macro_rules! text {
    ($name:ident($inner:ty), $parse:expr, $expected:expr) => {
        #[derive(Debug)]
        pub(super) struct $name(pub(super) $inner);

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = String::deserialize(deserializer)?;
                let parse: fn(&str) -> Option<$inner> = $parse;
                parse(&text).map(Self).ok_or_else(|| {
                    let found = serde::de::Unexpected::Str(&text);
                    serde::de::Error::invalid_value(found, &$expected)
                })
            }
        }
    };
}

pub(super) use text;

text!(
    Name(String),
    |text| (!text.is_empty()).then(|| text.to_owned()),
    "a string that is not empty"
);
