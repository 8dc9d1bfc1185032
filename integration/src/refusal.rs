//! A refused configuration, as the log tells it.

/// What the log line of a refused configuration says: `FILTER: configuration refused at "POINTER": expected E, found F`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// The filter that refused.
    pub filter: String,
    /// Where, as a JSON Pointer.
    pub pointer: String,
    /// What should have stood there.
    pub expected: String,
    /// What stood there.
    pub found: String,
    /// Envoy's log level.
    pub level: String,
}

/// Every refusal in a log of Envoy.
#[must_use]
pub fn refusals(log: &str) -> Vec<Refused> {
    log.lines().filter_map(refused).collect()
}

/// One line: `[TIME][THREAD][LEVEL][wasm] [SOURCE] wasm log PLUGIN: FILTER: configuration refused at …`.
fn refused(line: &str) -> Option<Refused> {
    let (before, after) = line.split_once(": configuration refused at \"")?;
    let (pointer, after) = after.split_once("\": expected ")?;
    let (expected, found) = after.split_once(", found ")?;
    Some(Refused {
        filter: before.rsplit(' ').next()?.to_owned(),
        pointer: pointer.to_owned(),
        expected: expected.to_owned(),
        found: found.to_owned(),
        level: before.split(['[', ']']).filter(|part| !part.is_empty()).nth(2)?.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_taken_apart() {
        let line = "[2025-01-01 00:00:00.000][1][error][wasm] [context.cc:1] wasm log a b: authz: configuration \
                    refused at \"/policies/0\": expected a, b, found c";
        let told = refusals(line);
        let [told] = told.as_slice() else { panic!("{told:?}") };
        assert_eq!((told.filter.as_str(), told.pointer.as_str()), ("authz", "/policies/0"));
        assert_eq!((told.expected.as_str(), told.found.as_str()), ("a, b", "c"));
        assert_eq!(told.level, "error");
    }
}
