//! As much of HTTP/1.1 as the demo speaks.

use std::io::{BufRead, BufReader, Read, Write};
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

/// A connection that is kept from one request to the next, as long as the other side keeps it.
#[derive(Debug)]
pub struct Connection {
    address: (String, u16),
    open: Option<BufReader<TcpStream>>,
}

impl Connection {
    /// To this address, once something is asked.
    #[must_use]
    pub fn to(address: &str, port: u16) -> Self {
        Self { address: (address.to_owned(), port), open: None }
    }

    /// Asks, and reads the whole answer. A connection that failed is not used again.
    ///
    /// # Errors
    /// When no answer comes, or none that is HTTP.
    pub fn get(
        &mut self,
        host: &str,
        path: &str,
        headers: &[(&str, &str)],
    ) -> Result<Answer, Fault> {
        let mut stream = self.stream()?;
        let fault = |error: String| format!("http://{host}{path}: {error}");
        write(&mut stream, &head("GET", host, path, headers)).map_err(fault)?;
        let answer = read(&mut stream).map_err(fault)?;
        if answer.header("connection") != Some("close") {
            self.open = Some(stream);
        }
        Ok(answer)
    }

    /// Begins a request whose body is longer than what is sent of it.
    ///
    /// # Errors
    /// When it cannot be sent.
    pub fn begin(
        mut self,
        host: &str,
        path: &str,
        headers: &[(&str, &str)],
    ) -> Result<Begun, Fault> {
        let mut stream = self.stream()?;
        let headers = [headers, &[("content-length", "2")]].concat();
        write(&mut stream, &(head("POST", host, path, &headers) + "o"))?;
        Ok(Begun { stream })
    }

    fn stream(&mut self) -> Result<BufReader<TcpStream>, Fault> {
        match self.open.take() {
            Some(open) => Ok(open),
            None => connect(&self.address).map_err(|error| format!("{}: {error}", self.address.0)),
        }
    }
}

/// A request that has begun and is not over. Dropped, it is one whose client has left.
#[derive(Debug)]
pub struct Begun {
    stream: BufReader<TcpStream>,
}

impl Begun {
    /// Sends the rest, and reads the answer.
    ///
    /// # Errors
    /// When no answer comes, or none that is HTTP.
    pub fn finish(mut self) -> Result<Answer, Fault> {
        write(&mut self.stream, "k")?;
        read(&mut self.stream)
    }
}

fn head(method: &str, host: &str, path: &str, headers: &[(&str, &str)]) -> String {
    let mut head = format!("{method} {path} HTTP/1.1\r\nhost: {host}\r\n");
    for (name, value) in headers {
        head += &format!("{name}: {value}\r\n");
    }
    head + "\r\n"
}

fn connect(address: &(String, u16)) -> std::io::Result<BufReader<TcpStream>> {
    let stream = TcpStream::connect((address.0.as_str(), address.1))?;
    stream.set_read_timeout(Some(Duration::from_secs(20)))?;
    Ok(BufReader::new(stream))
}

fn write(stream: &mut BufReader<TcpStream>, text: &str) -> Result<(), Fault> {
    stream.get_mut().write_all(text.as_bytes()).map_err(|error| error.to_string())
}

fn read(stream: &mut BufReader<TcpStream>) -> Result<Answer, Fault> {
    let told = |error: std::io::Error| error.to_string();
    let first = line(stream)?;
    let status = first.split(' ').nth(1).and_then(|status| status.parse().ok());
    let status = status.ok_or_else(|| format!("not HTTP: {first:?}"))?;
    let mut headers = Vec::new();
    loop {
        let next = line(stream)?;
        let Some((name, value)) = next.split_once(':') else { break };
        headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
    let mut answer = Answer { status, headers, body: String::new() };
    let mut body = Vec::new();
    match answer.header("content-length").map(str::parse) {
        Some(Ok(length)) => {
            body.resize(length, 0);
            stream.read_exact(&mut body).map_err(told)?;
        }
        Some(Err(_)) => return Err("a length that is no number".to_owned()),
        None if answer.header("transfer-encoding") == Some("chunked") => loop {
            let size = line(stream)?;
            let size = usize::from_str_radix(&size, 16).map_err(|_| format!("chunk {size:?}"))?;
            let mut chunk = vec![0; size];
            stream.read_exact(&mut chunk).map_err(told)?;
            body.append(&mut chunk);
            line(stream)?;
            if size == 0 {
                break;
            }
        },
        None => return Err("an answer of no known length".to_owned()),
    }
    answer.body = String::from_utf8_lossy(&body).into_owned();
    Ok(answer)
}

fn line(stream: &mut BufReader<TcpStream>) -> Result<String, Fault> {
    let mut line = String::new();
    match stream.read_line(&mut line) {
        Ok(0) => Err("no answer".to_owned()),
        Ok(_) => Ok(line.trim_end().to_owned()),
        Err(error) => Err(error.to_string()),
    }
}
