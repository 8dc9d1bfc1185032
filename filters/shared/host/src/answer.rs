//! The answer to a callout.

use filter_core::{Answer, HeaderMap};

use crate::abi::{self, Buffer, Map};

/// Reads it, in the callback that brings it. The proxy tells a failed callout by giving it no headers.
pub(crate) fn read(headers: usize, body: usize) -> Answer {
    if headers == 0 {
        return Answer::Failure;
    }
    let Some(headers) = abi::header_map(Map::CalloutResponse).ok().and_then(HeaderMap::parse)
    else {
        return Answer::Failure;
    };
    if body == 0 {
        return Answer::Response { headers, body: Vec::new() };
    }
    match abi::buffer(Buffer::CalloutResponseBody, body) {
        Ok(body) => Answer::Response { headers, body },
        Err(_) => Answer::Failure,
    }
}
