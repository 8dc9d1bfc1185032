//! An upstream that tells what reached it.

use std::io::{BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{Response, poll};

/// A request as it reached the upstream.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Echo {
    /// Which upstream it reached.
    pub version: String,
    /// The method.
    pub method: String,
    /// The request target.
    pub path: String,
    /// Header lines in order, names in lower case, each byte of a value as one character (ISO 8859-1).
    pub headers: Vec<(String, String)>,
}

impl Echo {
    /// What the upstream saw, if the response is its.
    #[must_use]
    pub fn of(response: &Response) -> Option<Self> {
        serde_json::from_slice(&response.body).ok()
    }

    /// A header's value; of several copies, all, joined by a comma. Pseudo-headers are known by their HTTP/2 names.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<String> {
        let name = match name {
            ":method" => return Some(self.method.clone()),
            ":path" => return Some(self.path.clone()),
            ":authority" => "host",
            name => name,
        };
        let copies: Vec<&str> = self
            .headers
            .iter()
            .filter(|(other, _)| other == name)
            .map(|(_, value)| value.as_str())
            .collect();
        (!copies.is_empty()).then(|| copies.join(","))
    }
}

/// An upstream on a free port of this machine, one thread per connection. Answers with the status that the header
/// `x-echo-status` asks for, else 200, and an [`Echo`], unless it is told what to answer. Its own name is in the header
/// `x-upstream-version`.
#[derive(Debug)]
pub struct Upstream {
    address: SocketAddr,
    state: Arc<State>,
}

#[derive(Debug)]
struct State {
    version: String,
    /// A status and a body, if all answers are to be these.
    told: Mutex<Option<(u16, String)>>,
    requests: AtomicU64,
    gate: Mutex<Gate>,
    opened: Condvar,
    /// How many requests wait for an answer now, and at most ever did.
    in_flight: AtomicU64,
    peak: AtomicU64,
    over: AtomicBool,
}

/// What answers wait at.
#[derive(Debug, Default)]
struct Gate {
    closed: bool,
    /// How often it was opened: whoever waited then goes on, also if it was closed again since.
    opened: u64,
}

impl Upstream {
    /// An upstream of this name, ready to be connected to.
    ///
    /// # Errors
    /// When no port can be had.
    pub fn start(version: &str) -> Result<Self, String> {
        let fault = |error: std::io::Error| format!("upstream {version}: {error}");
        let listener = TcpListener::bind(("127.0.0.1", 0)).map_err(fault)?;
        let address = listener.local_addr().map_err(fault)?;
        let state = Arc::new(State {
            version: version.to_owned(),
            told: Mutex::default(),
            requests: AtomicU64::new(0),
            gate: Mutex::default(),
            opened: Condvar::new(),
            in_flight: AtomicU64::new(0),
            peak: AtomicU64::new(0),
            over: AtomicBool::new(false),
        });
        let shared = Arc::clone(&state);
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                if shared.over.load(Ordering::Acquire) {
                    break;
                }
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

    /// From now on it answers this to everything.
    pub fn answer(&self, status: u16, body: &str) {
        *self.state.told() = Some((status, body.to_owned()));
    }

    /// How many requests reached it.
    #[must_use]
    pub fn requests(&self) -> u64 {
        self.state.requests.load(Ordering::Acquire)
    }

    /// From now on it answers nothing.
    pub fn hold(&self) {
        self.state.gate().closed = true;
    }

    /// It answers all that waits, and what comes.
    pub fn let_go(&self) {
        let mut gate = self.state.gate();
        *gate = Gate { closed: false, opened: gate.opened.saturating_add(1) };
        self.state.opened.notify_all();
    }

    /// How many requests wait for an answer.
    #[must_use]
    pub fn in_flight(&self) -> u64 {
        self.state.in_flight.load(Ordering::Acquire)
    }

    /// How many at most ever waited for an answer at the same time.
    #[must_use]
    pub fn peak(&self) -> u64 {
        self.state.peak.load(Ordering::Acquire)
    }
}

impl State {
    fn told(&self) -> std::sync::MutexGuard<'_, Option<(u16, String)>> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn gate(&self) -> std::sync::MutexGuard<'_, Gate> {
        self.gate.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns when answers are not held back.
    fn wait(&self) {
        let now = self.in_flight.fetch_add(1, Ordering::AcqRel).saturating_add(1);
        self.peak.fetch_max(now, Ordering::AcqRel);
        let gate = self.gate();
        let before = gate.opened;
        let waits = |gate: &mut Gate| gate.closed && gate.opened == before;
        drop(self.opened.wait_while(gate, waits));
        // Before the answer: whoever gets it may send the next request.
        self.in_flight.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        self.state.over.store(true, Ordering::Release);
        self.let_go();
        // Wakes the thread that accepts.
        let _ = TcpStream::connect_timeout(&self.address, Duration::from_secs(1));
    }
}

/// Answers on one connection until it ends or what comes is not a request.
fn serve(stream: &TcpStream, state: &State) -> Option<()> {
    stream.set_read_timeout(Some(10 * poll::DEADLINE)).ok()?;
    stream.set_nodelay(true).ok()?;
    let mut reader = BufReader::new(stream);
    let mut bytes = Vec::new();
    loop {
        let (echo, status, length) = head(&mut reader, &mut bytes, &state.version)?;
        bytes.drain(..length);
        state.requests.fetch_add(1, Ordering::AcqRel);
        state.wait();
        if state.over.load(Ordering::Acquire) {
            return None;
        }
        let told = state.told().clone();
        let (status, body) = match told {
            Some(told) => told,
            None => (status, serde_json::to_string(&echo).ok()?),
        };
        let head = format!(
            "HTTP/1.1 {status} Echo\r\nx-upstream-version: {}\r\ncontent-type: application/json\r\n",
            state.version
        );
        let bodiless = status == 204 || status == 304;
        let answer = match (bodiless, echo.method.as_str()) {
            (true, _) => format!("{head}\r\n"),
            (false, "HEAD") => format!("{head}content-length: {}\r\n\r\n", body.len()),
            (false, _) => format!("{head}content-length: {}\r\n\r\n{body}", body.len()),
        };
        (&mut &*stream).write_all(answer.as_bytes()).ok()?;
    }
}

/// Reads one request: what to echo, the status asked for, and how many bytes it took, its body included.
fn head(
    reader: &mut BufReader<&TcpStream>,
    bytes: &mut Vec<u8>,
    version: &str,
) -> Option<(Echo, u16, usize)> {
    loop {
        let mut fields = [httparse::EMPTY_HEADER; 128];
        let mut request = httparse::Request::new(&mut fields);
        if let httparse::Status::Complete(length) = request.parse(bytes).ok()? {
            let latin1 = |value: &[u8]| value.iter().map(|byte| char::from(*byte)).collect();
            let echo = Echo {
                version: version.to_owned(),
                method: request.method?.to_owned(),
                path: request.path?.to_owned(),
                headers: request
                    .headers
                    .iter()
                    .map(|field| (field.name.to_ascii_lowercase(), latin1(field.value)))
                    .collect(),
            };
            let number = |name| echo.header(name).and_then(|value| value.parse::<usize>().ok());
            let end = length.saturating_add(number("content-length").unwrap_or_default());
            let status = number("x-echo-status").and_then(|status| u16::try_from(status).ok());
            while bytes.len() < end {
                more(reader, bytes)?;
            }
            return Some((echo, status.unwrap_or(200), end));
        }
        more(reader, bytes)?;
    }
}

fn more(reader: &mut BufReader<&TcpStream>, bytes: &mut Vec<u8>) -> Option<()> {
    let mut buffer = [0; 16 * 1024];
    let length = reader.read(&mut buffer).ok().filter(|length| *length > 0)?;
    bytes.extend_from_slice(buffer.get(..length)?);
    Some(())
}
