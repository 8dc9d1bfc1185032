//! The little of HTTP/1.1 that a load generator must read.

/// More than Envoy's answers here have.
const MAX_HEADERS: usize = 32;

/// The head of a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// The status.
    pub status: u16,
    /// How many bytes the whole response takes, head and body.
    pub length: usize,
}

impl Head {
    /// The head at the beginning of `bytes`, as soon as it is whole.
    ///
    /// # Errors
    /// When that is no response, or one whose length its head does not tell.
    pub fn parse(bytes: &[u8]) -> Result<Option<Self>, String> {
        let mut fields = [httparse::EMPTY_HEADER; MAX_HEADERS];
        let mut response = httparse::Response::new(&mut fields);
        let parsed = response.parse(bytes).map_err(|error| format!("no HTTP/1.1: {error}"))?;
        let httparse::Status::Complete(head) = parsed else { return Ok(None) };
        let status = response.code.unwrap_or_default();
        let mut fields = response.headers.iter();
        let body = fields
            .find(|field| field.name.eq_ignore_ascii_case("content-length"))
            .and_then(|field| std::str::from_utf8(field.value).ok()?.parse::<usize>().ok())
            .ok_or_else(|| format!("a {status} without a content-length"))?;
        Ok(Some(Self { status, length: head.saturating_add(body) }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RESPONSE: &[u8] = b"HTTP/1.1 429 Too Many Requests\r\nContent-Length: 5\r\n\r\nlater";

    #[test]
    fn a_whole_response_tells_its_status_and_length() {
        let head = Head { status: 429, length: RESPONSE.len() };
        assert_eq!(Head::parse(RESPONSE), Ok(Some(head)));
    }

    #[test]
    fn what_follows_a_response_is_not_its() {
        let two = [RESPONSE, RESPONSE].concat();
        assert_eq!(Head::parse(&two).unwrap().unwrap().length, RESPONSE.len());
    }

    #[test]
    fn a_head_is_waited_for_and_its_body_is_not() {
        let head = RESPONSE.len() - b"later".len();
        for end in 0..head {
            assert_eq!(Head::parse(&RESPONSE[..end]), Ok(None), "{end} bytes");
        }
        assert_eq!(Head::parse(&RESPONSE[..head]), Head::parse(RESPONSE));
    }

    #[test]
    fn a_response_of_unknown_length_is_refused() {
        for fields in ["", "transfer-encoding: chunked\r\n", "content-length: many\r\n"] {
            let response = format!("HTTP/1.1 200 OK\r\n{fields}\r\n");
            let refused = Err("a 200 without a content-length".to_owned());
            assert_eq!(Head::parse(response.as_bytes()), refused);
        }
    }

    #[test]
    fn what_is_no_response_is_refused() {
        assert!(Head::parse(b"SSH-2.0-OpenSSH\r\n").is_err());
    }
}
