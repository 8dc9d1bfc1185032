//! A configuration as people keep it, and as the proxy hands it to the filter.

use std::borrow::Cow;
use std::io::{self, Read};
use std::path::Path;

use filter_core::Invalid;
use serde_json::Value;
use serde_saphyr::UserMessageFormatter;

/// The text of the file; `-` is standard input.
pub(crate) fn read(file: &Path) -> io::Result<Vec<u8>> {
    if file == Path::new("-") {
        let mut text = Vec::new();
        io::stdin().read_to_end(&mut text)?;
        return Ok(text);
    }
    std::fs::read(file)
}

/// The text as JSON. What is JSON already is not touched: it is for the filter to read.
pub(crate) fn json<'a>(file: &Path, text: &'a [u8]) -> Result<Cow<'a, [u8]>, Invalid> {
    let yaml = match file.extension() {
        Some(extension) => extension == "yaml" || extension == "yml",
        None => {
            file == Path::new("-")
                && !matches!(text.trim_ascii_start().first(), None | Some(b'{' | b'['))
        }
    };
    if !yaml {
        return Ok(Cow::Borrowed(text));
    }
    let refused = |found: String| Invalid::at("", "a YAML document", found);
    let text = std::str::from_utf8(text).map_err(|error| refused(error.to_string()))?;
    let value = serde_saphyr::from_str(text).map_err(|error| {
        let error = error.without_snippet().render_with_formatter(&UserMessageFormatter);
        refused(error.lines().collect::<Vec<_>>().join(" "))
    })?;
    Ok(match value {
        // Comments alone are no document, and Istio sends none for it.
        Value::Null => Cow::Borrowed(&[]),
        value => Cow::Owned(value.to_string().into_bytes()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn converted(file: &str, text: &str) -> Result<String, String> {
        json(Path::new(file), text.as_bytes())
            .map(|json| String::from_utf8(json.into_owned()).unwrap())
            .map_err(|invalid| invalid.to_string())
    }

    #[test]
    fn json_is_not_touched() {
        for text in ["{\"a\": 1.0, \"a\": 2}", " ", "", "a: 1", "\0"] {
            assert_eq!(converted("a.json", text).as_deref(), Ok(text));
            assert_eq!(converted("a", text).as_deref(), Ok(text));
        }
        assert_eq!(converted("-", " {\"a\": 1}").as_deref(), Ok(" {\"a\": 1}"));
    }

    #[test]
    fn yaml_becomes_json() {
        for file in ["a.yaml", "a.yml", "-"] {
            let text = "a: 1m30s\nb: [x, 2, '2']\nc: |\n  text\n";
            let json = r#"{"a":"1m30s","b":["x",2,"2"],"c":"text\n"}"#;
            assert_eq!(converted(file, text).as_deref(), Ok(json));
        }
        assert_eq!(converted("a.yaml", "# nothing\n").as_deref(), Ok(""));
    }

    #[test]
    fn what_is_not_yaml_is_refused_in_one_line() {
        for text in ["a: [", "a: 1\na: 2\n", "a: 1\n---\nb: 2\n", "a: *b", "a: b: c"] {
            let refusal = converted("a.yaml", text).unwrap_err();
            assert!(refusal.starts_with("at \"\": expected a YAML document, found "), "{refusal}");
            assert_eq!(refusal.lines().count(), 1, "{refusal}");
        }
    }
}
