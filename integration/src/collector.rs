//! A collector of telemetry that keeps what it is sent, and answers as it is told.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

use crate::poll;

/// What was sent in one request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// The request line.
    pub line: String,
    /// Headers, their names in lower case.
    pub headers: BTreeMap<String, String>,
    /// The body.
    pub body: Vec<u8>,
    /// What it was answered.
    pub status: u16,
}

/// A collector on a free port of this machine. It lives as long as the test.
#[derive(Debug)]
pub struct Collector {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
}

#[derive(Debug)]
struct State {
    status: u16,
    deliveries: Vec<Delivery>,
}

impl Collector {
    /// A collector that takes everything.
    ///
    /// # Errors
    /// When no port can be had.
    pub fn start() -> Result<Self, String> {
        let fault = |error: std::io::Error| format!("collector: {error}");
        let listener = TcpListener::bind(("127.0.0.1", 0)).map_err(fault)?;
        let address = listener.local_addr().map_err(fault)?;
        let state = Arc::new(Mutex::new(State { status: 200, deliveries: Vec::new() }));
        let shared = Arc::clone(&state);
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let state = Arc::clone(&shared);
                thread::spawn(move || serve(&stream, &state));
            }
        });
        Ok(Self { address, state })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// From now on it answers so.
    pub fn answer(&self, status: u16) {
        lock(&self.state).status = status;
    }

    /// All that was sent, whatever it was answered.
    #[must_use]
    pub fn deliveries(&self) -> Vec<Delivery> {
        lock(&self.state).deliveries.clone()
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Answers on one connection until it ends.
fn serve(stream: &TcpStream, state: &Mutex<State>) -> Option<()> {
    stream.set_read_timeout(Some(10 * poll::DEADLINE)).ok()?;
    let mut reader = BufReader::new(stream);
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok().filter(|length| *length > 0)?;
        let mut headers = BTreeMap::new();
        loop {
            let mut field = String::new();
            reader.read_line(&mut field).ok().filter(|length| *length > 0)?;
            let Some((name, value)) = field.trim_end().split_once(':') else { break };
            headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
        }
        let length = headers.get("content-length").map_or(Some(0), |length| length.parse().ok())?;
        let mut body = vec![0; length];
        reader.read_exact(&mut body).ok()?;
        let status = {
            let mut state = lock(state);
            line.truncate(line.trim_end().len());
            let status = state.status;
            state.deliveries.push(Delivery { line, headers, body, status });
            status
        };
        let answer = format!("HTTP/1.1 {status} Told\r\ncontent-length: 0\r\n\r\n");
        (&mut &*stream).write_all(answer.as_bytes()).ok()?;
    }
}
