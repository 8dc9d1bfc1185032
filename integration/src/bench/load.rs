//! The load generator: one thread, a few kept connections, each with one request under way at any time.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use crate::bench::asks::Message;
use crate::bench::statistics::quantile;
use crate::bench::wire::Head;
use crate::poll;

/// How many requests are under way at any time. Enough that Envoy never waits for us.
const CONNECTIONS: usize = 8;

/// What came of a while of load.
#[derive(Clone, Debug)]
pub struct Tally {
    /// How long each response took, in milliseconds, sorted.
    pub latencies: Vec<f64>,
    /// The first answer that was not the one promised, if there was any.
    pub surprise: Option<String>,
}

impl Tally {
    /// How many requests were answered.
    #[must_use]
    pub fn requests(&self) -> usize {
        self.latencies.len()
    }

    /// The latency in milliseconds that this part of the requests did not exceed.
    #[must_use]
    pub fn latency(&self, part: f64) -> f64 {
        quantile(&self.latencies, part).unwrap_or_default()
    }
}

/// Sends the same requests over and over.
#[derive(Debug)]
pub struct Load {
    connections: Vec<Connection>,
    messages: Vec<Message>,
    turn: usize,
}

impl Load {
    /// Opens the connections.
    ///
    /// # Errors
    /// When nobody listens, or there is nothing to ask.
    pub fn open(address: SocketAddr, messages: Vec<Message>) -> Result<Self, String> {
        if messages.is_empty() {
            return Err("nothing to ask".to_owned());
        }
        let connections = (0..CONNECTIONS).map(|_| Connection::open(address));
        Ok(Self { connections: connections.collect::<Result<_, _>>()?, messages, turn: 0 })
    }

    /// Keeps every connection busy for so long, and then waits for what is still under way.
    ///
    /// # Errors
    /// When a connection breaks.
    pub fn run(&mut self, time: Duration) -> Result<Tally, String> {
        let mut latencies = Vec::new();
        let mut surprise = None;
        let begin = Instant::now();
        for connection in &mut self.connections {
            connection.send(next(&self.messages, &mut self.turn)?)?;
        }
        // Envoy answers in about the order it was asked, so waiting for one connection seldom keeps another waiting.
        let mut over = false;
        while !over {
            over = begin.elapsed() >= time;
            for connection in &mut self.connections {
                let answer = connection.receive()?;
                latencies.push(answer.latency.as_secs_f64() * 1e3);
                if answer.status != answer.promised && surprise.is_none() {
                    surprise =
                        Some(format!("a {} instead of a {}", answer.status, answer.promised));
                }
                if !over {
                    connection.send(next(&self.messages, &mut self.turn)?)?;
                }
            }
        }
        latencies.sort_by(f64::total_cmp);
        Ok(Tally { latencies, surprise })
    }

    /// Asks once and returns the status.
    ///
    /// # Errors
    /// When the connection breaks.
    pub fn ask(&mut self, message: &Message) -> Result<u16, String> {
        let connection = self.connections.first_mut().ok_or("no connection")?;
        connection.send(message)?;
        Ok(connection.receive()?.status)
    }
}

/// Whose turn it is.
fn next<'a>(messages: &'a [Message], turn: &mut usize) -> Result<&'a Message, String> {
    let message = messages.get(*turn).ok_or("nothing to ask")?;
    *turn = (*turn + 1) % messages.len();
    Ok(message)
}

/// A connection with at most one request under way.
#[derive(Debug)]
struct Connection {
    stream: TcpStream,
    received: Vec<u8>,
    sent: Instant,
    promised: u16,
}

struct Answer {
    status: u16,
    promised: u16,
    latency: Duration,
}

impl Connection {
    fn open(address: SocketAddr) -> Result<Self, String> {
        let open = || {
            let stream = TcpStream::connect_timeout(&address, poll::DEADLINE)?;
            stream.set_read_timeout(Some(poll::DEADLINE))?;
            stream.set_nodelay(true)?;
            Ok(Self { stream, received: Vec::new(), sent: Instant::now(), promised: 0 })
        };
        open().map_err(|error: std::io::Error| format!("{address}: {error}"))
    }

    fn send(&mut self, message: &Message) -> Result<(), String> {
        self.promised = message.status;
        self.sent = Instant::now();
        self.stream.write_all(&message.bytes).map_err(|error| error.to_string())
    }

    fn receive(&mut self) -> Result<Answer, String> {
        loop {
            if let Some(head) = Head::parse(&self.received)?
                && head.length <= self.received.len()
            {
                let latency = self.sent.elapsed();
                self.received.drain(..head.length);
                return Ok(Answer { status: head.status, promised: self.promised, latency });
            }
            let mut buffer = [0; 4096];
            let length = self.stream.read(&mut buffer).map_err(|error| error.to_string())?;
            if length == 0 {
                return Err("the connection ended".to_owned());
            }
            self.received.extend_from_slice(buffer.get(..length).unwrap_or_default());
        }
    }
}
