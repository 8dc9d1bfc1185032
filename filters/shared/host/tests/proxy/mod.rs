//! The proxy's side of the ABI, played natively. A test that includes this has a `TestProxy`, which says what is its
//! own.

#![expect(unsafe_code, reason = "plays the proxy's side of the ABI")]
#![expect(clippy::unwrap_used, reason = "this is for tests")]

use std::time::Duration;

use filter_core::{Callout, Edit, HeaderName};

use super::TestProxy;

/// What a proxy says to a call: a status, and bytes for a call that gets some when it succeeds.
pub(crate) type Said = (u32, Vec<u8>);

/// What a proxy says to the calls that it gets. Where it does not say otherwise, it has one answer to all of them.
///
/// No panic leaves a callback of the ABI: it ends the process. So what may be wrong here or in a filter is noted, for a
/// law to find.
pub(crate) trait Proxy {
    /// The answer to any call: OK, and nothing.
    fn answer() -> Said {
        (0, Vec::new())
    }

    /// The headers of a map.
    fn header_map_pairs(map: u32) -> Said {
        let _ = map;
        Self::answer()
    }

    /// Changes a map as an edit says.
    fn edit(map: u32, edit: &Edit) -> u32 {
        let _ = (map, edit);
        Self::answer().0
    }

    /// The clock that never goes back, in nanoseconds.
    fn monotonic_clock() -> (u32, u64) {
        let (status, bytes) = Self::answer();
        (status, number(&bytes))
    }

    /// Makes the calls that follow be about a context.
    fn set_effective_context(context: u32) -> u32 {
        let _ = context;
        Self::answer().0
    }

    /// Lets a held request go on.
    fn continue_request() -> u32 {
        Self::answer().0
    }

    /// Answers a request in the upstream's place.
    fn send_local_response() -> u32 {
        Self::answer().0
    }

    /// Sends a request to a cluster; if it is sent, its answer will bear the token.
    fn http_call(cluster: &[u8], token: u32) -> u32 {
        let _ = (cluster, token);
        Self::answer().0
    }

    /// Calls a function that only some proxies have.
    fn call_foreign(name: &[u8], arguments: &[u8]) -> Said {
        let _ = (name, arguments);
        Self::answer()
    }
}

/// A header map as the proxy writes it.
pub(crate) fn encoded(pairs: &[(Vec<u8>, Vec<u8>)]) -> Vec<u8> {
    let mut out = u32::try_from(pairs.len()).unwrap().to_le_bytes().to_vec();
    for (name, value) in pairs {
        for part in [name, value] {
            out.extend(u32::try_from(part.len()).unwrap().to_le_bytes());
        }
    }
    for (name, value) in pairs {
        for part in [name, value] {
            out.extend(part);
            out.push(0);
        }
    }
    out
}

/// A request that a filter may wait for.
pub(crate) fn callout() -> Callout {
    Callout {
        cluster: "keys".to_owned(),
        headers: vec![(":method".to_owned(), "GET".to_owned())],
        body: Vec::new(),
        timeout: Duration::from_secs(1),
    }
}

/// The plugin's side of the ABI.
pub(crate) mod plugin {
    unsafe extern "C" {
        pub(super) safe fn proxy_on_memory_allocate(size: usize) -> *mut u8;
        pub(crate) safe fn proxy_on_context_create(context: u32, root: u32);
        pub(crate) safe fn proxy_on_configure(context: u32, size: usize) -> bool;
        pub(crate) safe fn proxy_on_request_headers(context: u32, count: usize, end: bool) -> u32;
        pub(crate) safe fn proxy_on_request_body(context: u32, size: usize, end: bool) -> u32;
        pub(crate) safe fn proxy_on_request_trailers(context: u32, count: usize) -> u32;
        pub(crate) safe fn proxy_on_response_headers(context: u32, count: usize, end: bool) -> u32;
        pub(crate) safe fn proxy_on_http_call_response(
            context: u32,
            token: u32,
            headers: usize,
            body: usize,
            trailers: usize,
        );
        pub(crate) safe fn proxy_on_tick(context: u32);
        pub(crate) safe fn proxy_on_log(context: u32);
        pub(crate) safe fn proxy_on_delete(context: u32);
    }
}

fn number(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0, |number, byte| number << 8 | u64::from(*byte))
}

/// Hands bytes over as the proxy does, if it says OK.
unsafe fn give((status, bytes): &Said, data: *mut *mut u8, size: *mut usize) -> u32 {
    if *status == 0 {
        let memory = plugin::proxy_on_memory_allocate(bytes.len());
        unsafe {
            std::ptr::copy_nonoverlapping(bytes.as_ptr(), memory, bytes.len());
            *data = memory;
            *size = bytes.len();
        }
    }
    *status
}

unsafe fn taken<'a>(data: *const u8, size: usize) -> &'a [u8] {
    unsafe { std::slice::from_raw_parts(data, size) }
}

unsafe fn name(data: *const u8, size: usize) -> HeaderName {
    HeaderName::parse(std::str::from_utf8(unsafe { taken(data, size) }).unwrap()).unwrap()
}

macro_rules! exports {
    ($($name:ident($($argument:ident: $type:ty),*) $body:block)*) => {
        $(
            #[unsafe(no_mangle)]
            extern "C" fn $name($($argument: $type),*) -> u32 {
                $(let _ = &$argument;)*
                $body
            }
        )*
    };
}

exports! {
    proxy_log(level: u32, data: *const u8, size: usize) {
        if level >= 5 {
            eprintln!("{}", String::from_utf8_lossy(unsafe { taken(data, size) }));
        }
        TestProxy::answer().0
    }
    proxy_get_current_time_nanoseconds(time: *mut u64) {
        let (status, bytes) = TestProxy::answer();
        unsafe { *time = number(&bytes) };
        status
    }
    clock_time_get(clock: u32, precision: u64, time: *mut u64) {
        let (status, now) = TestProxy::monotonic_clock();
        unsafe { *time = now };
        status
    }
    random_get(data: *mut u8, size: usize) { TestProxy::answer().0 }
    proxy_get_buffer_bytes(kind: u32, start: usize, max: usize, data: *mut *mut u8, size: *mut usize) {
        unsafe { give(&TestProxy::answer(), data, size) }
    }
    proxy_get_header_map_pairs(map: u32, data: *mut *mut u8, size: *mut usize) {
        unsafe { give(&TestProxy::header_map_pairs(map), data, size) }
    }
    proxy_remove_header_map_value(map: u32, key: *const u8, key_size: usize) {
        TestProxy::edit(map, &Edit::Remove(unsafe { name(key, key_size) }))
    }
    proxy_add_header_map_value(
        map: u32, key: *const u8, key_size: usize, value: *const u8, value_size: usize
    ) {
        let (name, value) = unsafe { (name(key, key_size), taken(value, value_size)) };
        TestProxy::edit(map, &Edit::Append(name, value.to_vec()))
    }
    proxy_replace_header_map_value(
        map: u32, key: *const u8, key_size: usize, value: *const u8, value_size: usize
    ) {
        let (name, value) = unsafe { (name(key, key_size), taken(value, value_size)) };
        TestProxy::edit(map, &Edit::Set(name, value.to_vec()))
    }
    proxy_get_property(path: *const u8, path_size: usize, data: *mut *mut u8, size: *mut usize) {
        unsafe { give(&TestProxy::answer(), data, size) }
    }
    proxy_set_property(path: *const u8, path_size: usize, value: *const u8, value_size: usize) {
        TestProxy::answer().0
    }
    proxy_get_shared_data(
        key: *const u8, key_size: usize, data: *mut *mut u8, size: *mut usize, cas: *mut u32
    ) {
        let said = TestProxy::answer();
        unsafe { *cas = u32::try_from(said.1.len() % 3).unwrap() };
        unsafe { give(&said, data, size) }
    }
    proxy_set_shared_data(
        key: *const u8, key_size: usize, value: *const u8, value_size: usize, cas: u32
    ) {
        assert_ne!(cas, 0, "a write that overwrites whatever is there");
        TestProxy::answer().0
    }
    proxy_continue_stream(stream: u32) {
        assert_eq!(stream, 0, "a response is never held");
        TestProxy::continue_request()
    }
    proxy_send_local_response(
        code: u32, details: *const u8, details_size: usize, body: *const u8, body_size: usize,
        headers: *const u8, headers_size: usize, grpc: i32
    ) {
        TestProxy::send_local_response()
    }
    proxy_call_foreign_function(
        name: *const u8, name_size: usize, arguments: *const u8, arguments_size: usize,
        data: *mut *mut u8, size: *mut usize
    ) {
        let (name, arguments) = unsafe { (taken(name, name_size), taken(arguments, arguments_size)) };
        unsafe { give(&TestProxy::call_foreign(name, arguments), data, size) }
    }
    proxy_define_metric(kind: u32, name: *const u8, name_size: usize, id: *mut u32) {
        TestProxy::answer().0
    }
    proxy_record_metric(id: u32, value: u64) { TestProxy::answer().0 }
    proxy_increment_metric(id: u32, offset: i64) {
        assert!(offset > 0, "the proxy answers this with an error");
        TestProxy::answer().0
    }
    proxy_http_call(
        upstream: *const u8, upstream_size: usize, headers: *const u8, headers_size: usize,
        body: *const u8, body_size: usize, trailers: *const u8, trailers_size: usize, timeout: u32,
        token: *mut u32
    ) {
        use std::sync::atomic::{AtomicU32, Ordering};
        static TOKENS: AtomicU32 = AtomicU32::new(1);
        let fresh = TOKENS.fetch_add(1, Ordering::Relaxed);
        let status = TestProxy::http_call(unsafe { taken(upstream, upstream_size) }, fresh);
        if status == 0 {
            unsafe { *token = fresh };
        }
        status
    }
    proxy_set_effective_context(context: u32) { TestProxy::set_effective_context(context) }
    proxy_set_tick_period_milliseconds(period: u32) {
        assert_ne!(period, 0, "time that never passes");
        TestProxy::answer().0
    }
}
