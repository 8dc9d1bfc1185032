//! One request, as rules ask about it.

use std::borrow::Cow;
use std::cell::OnceCell;
use std::net::IpAddr;

use super::{RequestLine, ip};
use crate::{Attribute, Headers, View};

/// A request; its canonical form is made when the first rule asks for it.
pub struct Facts<'a> {
    view: &'a View<'a>,
    line: OnceCell<RequestLine<'a>>,
}

impl<'a> Facts<'a> {
    /// What can be known of this request.
    #[must_use]
    pub fn new(view: &'a View<'a>) -> Self {
        Self { view, line: OnceCell::new() }
    }

    /// The request's headers.
    #[must_use]
    pub fn headers(&self) -> Headers<'a> {
        self.view.request()
    }

    /// Method, host and path, in canonical form.
    #[must_use]
    pub fn line(&self) -> &RequestLine<'a> {
        self.line.get_or_init(|| RequestLine::of(self.headers()))
    }

    /// A text attribute.
    #[must_use]
    pub fn text(&self, attribute: Attribute) -> Option<Vec<u8>> {
        self.view.text(attribute)
    }

    /// A numeric attribute.
    #[must_use]
    pub fn number(&self, attribute: Attribute) -> Option<i64> {
        self.view.number(attribute)
    }

    /// The client's address as the proxy sees it.
    #[must_use]
    pub fn address(&self) -> Option<IpAddr> {
        ip::address_of(&self.view.text(Attribute::SourceAddress)?).map(|ip| ip.to_canonical())
    }

    /// The values of a parameter of the query, decoded (WHATWG URL §5.1), in order.
    #[must_use]
    pub fn query(&self, name: &str) -> Vec<Cow<'a, [u8]>> {
        let path = self.headers().path();
        let end = path.iter().position(|byte| *byte == b'#').unwrap_or(path.len());
        let path = path.get(..end).unwrap_or_default();
        let Some(at) = path.iter().position(|byte| *byte == b'?') else { return Vec::new() };
        let query = path.get(at.saturating_add(1)..).unwrap_or_default();
        let pairs = query.split(|byte| *byte == b'&').filter_map(|pair| {
            let (key, value) = match pair.iter().position(|byte| *byte == b'=') {
                Some(at) => (pair.get(..at)?, pair.get(at.saturating_add(1)..)?),
                None => (pair, &[][..]),
            };
            (*decoded(key) == *name.as_bytes()).then(|| decoded(value))
        });
        pairs.collect()
    }
}

/// Percent signs and plus signs decoded; an escape that is broken stands for itself.
fn decoded(text: &[u8]) -> Cow<'_, [u8]> {
    if !text.iter().any(|byte| matches!(byte, b'%' | b'+')) {
        return Cow::Borrowed(text);
    }
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((first, tail)) = rest.split_first() {
        rest = tail;
        let byte = match first {
            b'+' => b' ',
            b'%' => match tail.split_at_checked(2).and_then(|(hex, tail)| Some((byte(hex)?, tail)))
            {
                Some((byte, tail)) => {
                    rest = tail;
                    byte
                }
                None => b'%',
            },
            other => *other,
        };
        out.push(byte);
    }
    Cow::Owned(out)
}

fn byte(hex: &[u8]) -> Option<u8> {
    let digits = hex.iter().all(u8::is_ascii_hexdigit).then_some(hex)?;
    u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::FixtureExchange;
    use crate::{HeaderMap, Phase};

    #[test]
    fn a_parameter_is_found_however_it_is_written() {
        let values = |path: &str| {
            let request = HeaderMap::from_pairs([(":path", path)]);
            let exchange = FixtureExchange { request, ..FixtureExchange::default() };
            let view = View::new(&exchange, Phase::Request, &[]);
            let values = Facts::new(&view).query("key");
            values
                .iter()
                .map(|value| String::from_utf8_lossy(value).into_owned())
                .collect::<Vec<_>>()
        };
        assert_eq!(values("/a?key=1"), ["1"]);
        assert_eq!(values("/a?x=2&%6bey=%31+%2"), ["1 %2"]);
        assert_eq!(values("/a?key&key=2#key=3"), ["", "2"]);
        assert_eq!(values("/key=1"), [""; 0]);
        assert_eq!(values("/a?keys=1&x=key=1"), [""; 0]);
    }
}
