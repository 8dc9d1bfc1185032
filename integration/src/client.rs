//! A client that sends bytes as told: any header, any number of times, on a connection that it keeps.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use crate::poll;

/// More than any answer here needs.
const MAX_HEADERS: usize = 128;

/// A request. `Host` is written first, then the headers in order, then `Content-Length` if there is a body.
#[derive(Clone, Debug)]
pub struct Request {
    /// The method.
    pub method: String,
    /// The request target.
    pub path: String,
    /// The `Host` header.
    pub host: String,
    /// Header lines.
    pub headers: Vec<(String, Vec<u8>)>,
    /// The body.
    pub body: Vec<u8>,
}

impl Request {
    /// A request with no headers but `Host`.
    #[must_use]
    pub fn new(method: &str, path: &str) -> Self {
        Self {
            method: method.to_owned(),
            path: path.to_owned(),
            host: "demo.example".to_owned(),
            headers: Vec::new(),
            body: Vec::new(),
        }
    }

    /// A `GET`.
    #[must_use]
    pub fn get(path: &str) -> Self {
        Self::new("GET", path)
    }

    /// With one more header line.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.headers.push((name.to_owned(), value.as_ref().to_vec()));
        self
    }

    /// With `Authorization: Bearer`.
    #[must_use]
    pub fn bearer(self, token: &str) -> Self {
        self.with("authorization", format!("Bearer {token}"))
    }

    fn bytes(&self) -> Vec<u8> {
        let mut bytes =
            format!("{} {} HTTP/1.1\r\nHost: {}\r\n", self.method, self.path, self.host)
                .into_bytes();
        for (name, value) in &self.headers {
            bytes.extend_from_slice(name.as_bytes());
            bytes.extend_from_slice(b": ");
            bytes.extend_from_slice(value);
            bytes.extend_from_slice(b"\r\n");
        }
        if !self.body.is_empty() {
            bytes.extend(format!("Content-Length: {}\r\n", self.body.len()).into_bytes());
        }
        bytes.extend_from_slice(b"\r\n");
        bytes.extend_from_slice(&self.body);
        bytes
    }
}

/// A response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    /// The status.
    pub status: u16,
    /// Header lines, names in lower case.
    pub headers: Vec<(String, Vec<u8>)>,
    /// The body, transfer coding removed.
    pub body: Vec<u8>,
}

impl Response {
    /// A header's value; of several copies, all, joined by a comma.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<String> {
        let copies: Vec<_> = self
            .headers
            .iter()
            .filter(|(other, _)| other == name)
            .map(|(_, value)| String::from_utf8_lossy(value))
            .collect();
        (!copies.is_empty()).then(|| copies.join(","))
    }

    /// The body as text.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// A client of one address.
#[derive(Debug)]
pub struct Client {
    address: SocketAddr,
    timeout: Duration,
    connection: Option<TcpStream>,
}

impl Client {
    /// A client that connects when it first sends.
    #[must_use]
    pub fn new(address: SocketAddr) -> Self {
        Self { address, timeout: poll::DEADLINE, connection: None }
    }

    /// The same, but it waits so long for anything to come, and no longer.
    #[must_use]
    pub fn within(self, timeout: Duration) -> Self {
        Self { timeout, ..self }
    }

    /// Sends one request and reads its response. A kept connection that turns out to be closed is opened once anew.
    ///
    /// # Errors
    /// When the connection cannot be made, breaks or stays silent, or when what comes is not HTTP/1.1.
    pub fn send(&mut self, request: &Request) -> Result<Response, String> {
        let fault = |error: String| format!("{} {}: {error}", request.method, request.path);
        if let Some(kept) = self.connection.take()
            && let Ok(response) = self.exchange(kept, request)
        {
            return Ok(response);
        }
        let fresh = self.connect().map_err(fault)?;
        self.exchange(fresh, request).map_err(fault)
    }

    fn connect(&self) -> Result<TcpStream, String> {
        let open = || {
            let stream = TcpStream::connect_timeout(&self.address, self.timeout)?;
            stream.set_read_timeout(Some(self.timeout))?;
            stream.set_write_timeout(Some(self.timeout))?;
            stream.set_nodelay(true)?;
            Ok(stream)
        };
        open().map_err(|error: std::io::Error| format!("{}: {error}", self.address))
    }

    fn exchange(&mut self, mut stream: TcpStream, request: &Request) -> Result<Response, String> {
        stream.write_all(&request.bytes()).map_err(|error| error.to_string())?;
        let mut received = Received { stream, bytes: Vec::new() };
        let response = received.response(&request.method)?;
        let close = response.header("connection").is_some_and(|value| value == "close");
        if !close {
            self.connection = Some(received.stream);
        }
        Ok(response)
    }
}

/// What has come of a response, and where more comes from.
struct Received {
    stream: TcpStream,
    bytes: Vec<u8>,
}

impl Received {
    fn response(&mut self, method: &str) -> Result<Response, String> {
        let (status, headers) = loop {
            let (status, headers, length) = self.head()?;
            self.bytes.drain(..length);
            // Interim responses (RFC 9110 §15.2) come before the one.
            if status >= 200 {
                break (status, headers);
            }
        };
        let field = |name: &str| {
            let found = headers.iter().find(|(other, _)| other == name);
            found.map(|(_, value)| String::from_utf8_lossy(value).into_owned())
        };
        let body = if method == "HEAD" || status == 204 || status == 304 {
            Vec::new()
        } else if field("transfer-encoding").is_some() {
            self.chunks()?
        } else if let Some(length) = field("content-length") {
            self.take(length.parse().map_err(|_| "content-length is no number".to_owned())?)?
        } else {
            self.rest()?
        };
        Ok(Response { status, headers, body })
    }

    #[expect(clippy::type_complexity, reason = "status, header lines, length of the head")]
    fn head(&mut self) -> Result<(u16, Vec<(String, Vec<u8>)>, usize), String> {
        loop {
            let mut fields = [httparse::EMPTY_HEADER; MAX_HEADERS];
            let mut head = httparse::Response::new(&mut fields);
            let parsed = head.parse(&self.bytes).map_err(|error| error.to_string())?;
            if let httparse::Status::Complete(length) = parsed {
                let headers = head
                    .headers
                    .iter()
                    .map(|field| (field.name.to_ascii_lowercase(), field.value.to_vec()))
                    .collect();
                return Ok((head.code.unwrap_or_default(), headers, length));
            }
            self.more()?;
        }
    }

    fn chunks(&mut self) -> Result<Vec<u8>, String> {
        let mut body = Vec::new();
        loop {
            let parsed = httparse::parse_chunk_size(&self.bytes);
            match parsed.map_err(|_| "not a chunk size".to_owned())? {
                httparse::Status::Partial => self.more()?,
                httparse::Status::Complete((line, size)) => {
                    self.bytes.drain(..line);
                    let size = usize::try_from(size).map_err(|error| error.to_string())?;
                    body.extend(self.take(size)?);
                    self.take(b"\r\n".len())?;
                    if size == 0 {
                        return Ok(body);
                    }
                }
            }
        }
    }

    fn take(&mut self, length: usize) -> Result<Vec<u8>, String> {
        while self.bytes.len() < length {
            self.more()?;
        }
        Ok(self.bytes.drain(..length).collect())
    }

    fn rest(&mut self) -> Result<Vec<u8>, String> {
        self.stream.read_to_end(&mut self.bytes).map_err(|error| error.to_string())?;
        Ok(std::mem::take(&mut self.bytes))
    }

    fn more(&mut self) -> Result<(), String> {
        let mut buffer = [0; 16 * 1024];
        match self.stream.read(&mut buffer) {
            Ok(0) => Err("the connection ended early".to_owned()),
            Ok(length) => {
                self.bytes.extend_from_slice(buffer.get(..length).unwrap_or_default());
                Ok(())
            }
            Err(error) => Err(error.to_string()),
        }
    }
}
