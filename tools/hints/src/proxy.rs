//! As much of a proxy as a module needs to answer usual requests.

use std::collections::BTreeMap;
use std::time::Duration;

use wasmi::{Caller, Error, Extern, Memory, Val};

/// Statuses of the ABI.
const OK: u32 = 0;
const NOT_FOUND: u32 = 1;
const CAS_MISMATCH: u32 = 8;
/// Also for what is not played here.
const INTERNAL_FAILURE: u32 = 10;

/// Kinds of header maps of the ABI.
const REQUEST_HEADERS: u32 = 0;

/// What the proxy calls to have memory for what it gives.
const ALLOCATE: &str = "proxy_on_memory_allocate";

/// Lines of a message, pseudo-headers included.
pub(crate) type Lines = Vec<(String, String)>;

/// What the proxy knows.
#[derive(Debug, Default)]
pub(crate) struct Proxy {
    pub(crate) configuration: Vec<u8>,
    pub(crate) request: Lines,
    pub(crate) response: Lines,
    /// Of both clocks.
    pub(crate) now: Duration,
    /// Whether the module answered in the place of the upstream.
    pub(crate) replied: bool,
    cells: BTreeMap<Vec<u8>, (Vec<u8>, u32)>,
    metrics: u32,
}

impl Proxy {
    /// A proxy that has this configuration for a plugin.
    pub(crate) fn configured(configuration: &str, now: Duration) -> Self {
        Self { configuration: configuration.into(), now, ..Self::default() }
    }

    fn property(&self, path: &[u8]) -> Option<Vec<u8>> {
        let path = path.split(|byte| *byte == 0).map(String::from_utf8_lossy);
        let path = path.collect::<Vec<_>>().join(".");
        let number = |number: i64| number.to_le_bytes().to_vec();
        Some(match path.as_str() {
            "source.address" => b"127.0.0.1:50000".to_vec(),
            "destination.address" => b"127.0.0.1:10000".to_vec(),
            "destination.port" => number(10_000),
            "request.protocol" => b"HTTP/1.1".to_vec(),
            "request.duration" => number(1_000_000),
            "request.size" | "response.size" | "response.flags" => number(0),
            "response.code" => number(line(&self.response, ":status")?.parse().ok()?),
            "response.code_details" => b"via_upstream".to_vec(),
            "xds.cluster_name" => b"upstream".to_vec(),
            other => line(&self.request, other.strip_prefix("request.headers.")?)?.into(),
        })
    }
}

fn line<'a>(lines: &'a Lines, name: &str) -> Option<&'a str> {
    lines.iter().find(|(own, _)| own == name).map(|(_, value)| value.as_str())
}

/// A header map as the ABI has it: how many lines there are, the lengths of each name and value, and then each of them
/// with a zero behind it.
fn encoded(lines: &Lines) -> Vec<u8> {
    let word = |length: usize| u32::try_from(length).unwrap_or(u32::MAX).to_le_bytes();
    let mut map = word(lines.len()).to_vec();
    for (name, value) in lines {
        map.extend(word(name.len()).into_iter().chain(word(value.len())));
    }
    for text in lines.iter().flat_map(|(name, value)| [name, value]) {
        map.extend(text.bytes().chain([0]));
    }
    map
}

/// Answers a call of the module's by the name of the function.
pub(crate) fn answer(
    caller: Caller<'_, Proxy>,
    name: &str,
    arguments: &[Val],
) -> Result<u32, Error> {
    let memory = caller.get_export("memory").and_then(Extern::into_memory);
    let memory = memory.ok_or_else(|| Error::new("the module has no memory"))?;
    Call { caller, memory, arguments }.answer(name)
}

struct Call<'a> {
    caller: Caller<'a, Proxy>,
    memory: Memory,
    arguments: &'a [Val],
}

impl Call<'_> {
    fn answer(&mut self, name: &str) -> Result<u32, Error> {
        let given = match name {
            "proxy_get_buffer_bytes" => (Some(self.proxy().configuration.clone()), 3),
            "proxy_get_header_map_pairs" if self.word(0)? == REQUEST_HEADERS => {
                (Some(encoded(&self.proxy().request)), 1)
            }
            "proxy_get_header_map_pairs" => (Some(encoded(&self.proxy().response)), 1),
            "proxy_get_property" => {
                let path = self.bytes(0)?;
                (self.proxy().property(&path), 2)
            }
            "proxy_get_shared_data" => {
                let key = self.bytes(0)?;
                let cell = self.proxy().cells.get(&key).cloned();
                if let Some((_, version)) = cell {
                    self.write(4, &version.to_le_bytes())?;
                }
                (cell.map(|(value, _)| value), 2)
            }
            "proxy_call_foreign_function" if self.bytes(0)? == b"verify_signature" => {
                // The field `result` of its protobuf message: true.
                (Some(vec![0x08, 0x01]), 4)
            }
            "proxy_call_foreign_function" => (None, 4),
            _ => return self.perform(name),
        };
        match given {
            (Some(bytes), place) => self.give(&bytes, place),
            (None, _) => Ok(NOT_FOUND),
        }
    }

    /// Those that return no bytes.
    fn perform(&mut self, name: &str) -> Result<u32, Error> {
        match name {
            "proxy_get_current_time_nanoseconds" | "clock_time_get" => {
                let place = if name == "clock_time_get" { 2 } else { 0 };
                let now = u64::try_from(self.proxy().now.as_nanos()).unwrap_or(u64::MAX);
                self.write(place, &now.to_le_bytes())?;
            }
            "random_get" => {
                let length = self.word(1)? as usize;
                self.write(0, &vec![7; length])?;
            }
            "proxy_set_shared_data" => return self.store(),
            "proxy_define_metric" => {
                self.caller.data_mut().metrics += 1;
                let id = self.proxy().metrics;
                self.write(3, &id.to_le_bytes())?;
            }
            "proxy_send_local_response" => self.caller.data_mut().replied = true,
            "proxy_http_call" => return Ok(INTERNAL_FAILURE),
            // What it writes and counts changes nothing for it.
            _ => {}
        }
        Ok(OK)
    }

    fn store(&mut self) -> Result<u32, Error> {
        let (key, value, expected) = (self.bytes(0)?, self.bytes(2)?, self.word(4)?);
        let cells = &mut self.caller.data_mut().cells;
        let version = cells.get(&key).map_or(0, |(_, version)| *version);
        if version != 0 && expected != 0 && version != expected {
            return Ok(CAS_MISMATCH);
        }
        cells.insert(key, (value, version + 1));
        Ok(OK)
    }

    fn proxy(&self) -> &Proxy {
        self.caller.data()
    }

    fn word(&self, argument: usize) -> Result<u32, Error> {
        let word = self.arguments.get(argument).and_then(Val::i32);
        Ok(word.ok_or_else(|| Error::new("an argument is missing"))?.cast_unsigned())
    }

    /// What an argument points at, by its length in the next.
    fn bytes(&self, argument: usize) -> Result<Vec<u8>, Error> {
        let mut bytes = vec![0; self.word(argument + 1)? as usize];
        let place = self.word(argument)? as usize;
        self.memory.read(&self.caller, place, &mut bytes)?;
        Ok(bytes)
    }

    fn write(&mut self, argument: usize, bytes: &[u8]) -> Result<(), Error> {
        let place = self.word(argument)? as usize;
        Ok(self.memory.write(&mut self.caller, place, bytes)?)
    }

    /// Gives bytes in memory of the module's: where it is goes to where an argument points, and its length to where the next does.
    fn give(&mut self, bytes: &[u8], argument: usize) -> Result<u32, Error> {
        let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        let allocate = self.caller.get_export(ALLOCATE).and_then(Extern::into_func);
        let allocate = allocate.ok_or_else(|| Error::new("the module does not allocate"))?;
        let allocate = allocate.typed::<u32, u32>(&self.caller)?;
        let place = allocate.call(&mut self.caller, length)?;
        self.memory.write(&mut self.caller, place as usize, bytes)?;
        self.write(argument, &place.to_le_bytes())?;
        self.write(argument + 1, &length.to_le_bytes())?;
        Ok(OK)
    }
}
