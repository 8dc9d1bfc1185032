//! One request, one answer, one connection: as much of HTTP/1.1 as the demo speaks.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::Value;

use crate::Fault;

/// What came back.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    /// As it came.
    pub body: String,
}

impl Answer {
    /// What the application said, from the first hop on: `["next", "body", …]` goes further.
    #[must_use]
    pub fn said(&self, path: &[&str]) -> Value {
        let all: Value = serde_json::from_str(&self.body).unwrap_or_default();
        path.iter().fold(all, |value, key| value.get(key).cloned().unwrap_or_default())
    }

    /// A header's first value.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(own, _)| own == name).map(|(_, value)| value.as_str())
    }
}

/// Asks once.
pub(crate) fn get(
    address: &str,
    port: u16,
    host: &str,
    path: &str,
    headers: &[(&str, &str)],
) -> Result<Answer, Fault> {
    let fault = |error: std::io::Error| format!("http://{host}{path}: {error}");
    let mut stream = TcpStream::connect((address, port)).map_err(fault)?;
    stream.set_read_timeout(Some(Duration::from_secs(20))).map_err(fault)?;
    let mut request = format!("GET {path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n");
    for (name, value) in headers {
        request += &format!("{name}: {value}\r\n");
    }
    request += "\r\n";
    stream.write_all(request.as_bytes()).map_err(fault)?;
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).map_err(fault)?;
    let text = String::from_utf8_lossy(&bytes);
    let (head, body) =
        text.split_once("\r\n\r\n").ok_or_else(|| format!("http://{host}{path}: no answer"))?;
    let mut lines = head.lines();
    let status = lines.next().and_then(|line| line.split(' ').nth(1)?.parse().ok());
    let headers = lines.filter_map(|line| line.split_once(':'));
    Ok(Answer {
        status: status.ok_or_else(|| format!("http://{host}{path}: not HTTP: {head}"))?,
        headers: headers
            .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
            .collect(),
        body: body.to_owned(),
    })
}
