//! The proxy's functions as it exports them, each behind a safe wrapper that returns what the proxy said.

#![expect(
    unsafe_code,
    reason = "host calls are foreign functions; every one of ours is in this file"
)]

use std::mem::MaybeUninit;
use std::ptr::null_mut;

/// A status that is not OK. Any number may come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Status(pub(crate) u32);

impl Status {
    pub(crate) const NOT_FOUND: Self = Self(1);
    pub(crate) const CAS_MISMATCH: Self = Self(8);
    /// Not one of the proxy's: it said OK, and what it gave cannot be.
    pub(crate) const NONSENSE: Self = Self(u32::MAX);
}

/// Which header map a call is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Map {
    Request = 0,
    Response = 2,
    CalloutResponse = 6,
}

/// Which buffer a call is about.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Buffer {
    CalloutResponseBody = 4,
    PluginConfiguration = 7,
}

/// What a metric is.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Metric {
    Counter = 0,
    Gauge = 1,
    Histogram = 2,
}

mod raw {
    #[cfg_attr(target_arch = "wasm32", link(wasm_import_module = "env"))]
    unsafe extern "C" {
        pub(super) fn proxy_log(level: u32, data: *const u8, size: usize) -> u32;
        pub(super) fn proxy_get_current_time_nanoseconds(time: *mut u64) -> u32;
        pub(super) fn proxy_get_buffer_bytes(
            buffer: u32,
            start: usize,
            max: usize,
            data: *mut *mut u8,
            size: *mut usize,
        ) -> u32;
        pub(super) fn proxy_get_header_map_pairs(
            map: u32,
            data: *mut *mut u8,
            size: *mut usize,
        ) -> u32;
        pub(super) fn proxy_remove_header_map_value(
            map: u32,
            key: *const u8,
            key_size: usize,
        ) -> u32;
        pub(super) fn proxy_add_header_map_value(
            map: u32,
            key: *const u8,
            key_size: usize,
            value: *const u8,
            value_size: usize,
        ) -> u32;
        pub(super) fn proxy_replace_header_map_value(
            map: u32,
            key: *const u8,
            key_size: usize,
            value: *const u8,
            value_size: usize,
        ) -> u32;
        pub(super) fn proxy_get_property(
            path: *const u8,
            path_size: usize,
            data: *mut *mut u8,
            size: *mut usize,
        ) -> u32;
        pub(super) fn proxy_set_property(
            path: *const u8,
            path_size: usize,
            value: *const u8,
            value_size: usize,
        ) -> u32;
        pub(super) fn proxy_get_shared_data(
            key: *const u8,
            key_size: usize,
            data: *mut *mut u8,
            size: *mut usize,
            cas: *mut u32,
        ) -> u32;
        pub(super) fn proxy_set_shared_data(
            key: *const u8,
            key_size: usize,
            value: *const u8,
            value_size: usize,
            cas: u32,
        ) -> u32;
        pub(super) fn proxy_continue_stream(stream: u32) -> u32;
        pub(super) fn proxy_set_tick_period_milliseconds(period: u32) -> u32;
        pub(super) fn proxy_set_effective_context(context: u32) -> u32;
        pub(super) fn proxy_send_local_response(
            status: u32,
            details: *const u8,
            details_size: usize,
            body: *const u8,
            body_size: usize,
            headers: *const u8,
            headers_size: usize,
            grpc_status: i32,
        ) -> u32;
        pub(super) fn proxy_call_foreign_function(
            name: *const u8,
            name_size: usize,
            arguments: *const u8,
            arguments_size: usize,
            data: *mut *mut u8,
            size: *mut usize,
        ) -> u32;
        pub(super) fn proxy_http_call(
            cluster: *const u8,
            cluster_size: usize,
            headers: *const u8,
            headers_size: usize,
            body: *const u8,
            body_size: usize,
            trailers: *const u8,
            trailers_size: usize,
            timeout_milliseconds: u32,
            token: *mut u32,
        ) -> u32;
        pub(super) fn proxy_define_metric(
            kind: u32,
            name: *const u8,
            name_size: usize,
            id: *mut u32,
        ) -> u32;
        pub(super) fn proxy_record_metric(id: u32, value: u64) -> u32;
        pub(super) fn proxy_increment_metric(id: u32, offset: i64) -> u32;
    }

    // std has no clock that means the same in every VM of a process, and no randomness.
    #[cfg_attr(target_arch = "wasm32", link(wasm_import_module = "wasi_snapshot_preview1"))]
    unsafe extern "C" {
        pub(super) fn clock_time_get(clock: u32, precision: u64, time: *mut u64) -> u32;
        pub(super) fn random_get(data: *mut u8, size: usize) -> u32;
    }
}

#[cfg(target_os = "wasi")]
unsafe extern "C" {
    /// The linker's: what must run before anything else does. Where nobody calls it, every export does.
    safe fn __wasm_call_ctors();
}

/// What comes before the first callback.
pub(crate) fn construct() {
    #[cfg(target_os = "wasi")]
    __wasm_call_ctors();
}

/// Memory for what the proxy is about to give; who gets it, owns it.
#[must_use]
pub fn allocate(size: usize) -> *mut u8 {
    let memory: Box<[MaybeUninit<u8>]> = Box::new_uninit_slice(size);
    Box::into_raw(memory).cast()
}

fn checked(status: u32) -> Result<(), Status> {
    if status == 0 { Ok(()) } else { Err(Status(status)) }
}

/// Makes a call that returns bytes, and takes them over.
fn bytes(call: impl FnOnce(*mut *mut u8, *mut usize) -> u32) -> Result<Vec<u8>, Status> {
    let mut data: *mut u8 = null_mut();
    let mut size: usize = 0;
    checked(call(&raw mut data, &raw mut size))?;
    if data.is_null() {
        return if size == 0 { Ok(Vec::new()) } else { Err(Status::NONSENSE) };
    }
    // SAFETY: the host got the memory from `allocate`, which leaks a boxed slice of just this size for whoever receives
    // it, and that is us.
    Ok(unsafe { Vec::from_raw_parts(data, size, size) })
}

// In every call below, pointers and sizes are those of a live slice or of a live local variable, which the host reads
// or writes before it returns.

pub(crate) fn log(level: u32, message: &str) {
    // SAFETY: see above. A message that cannot be logged has nowhere to be told.
    unsafe { raw::proxy_log(level, message.as_ptr(), message.len()) };
}

/// Nanoseconds since the epoch.
pub(crate) fn wall_clock() -> Result<u64, Status> {
    let mut time = 0;
    // SAFETY: see above.
    checked(unsafe { raw::proxy_get_current_time_nanoseconds(&raw mut time) })?;
    Ok(time)
}

/// Nanoseconds of a clock that never goes back and is the same for all VMs of the process (`CLOCK_MONOTONIC`).
pub(crate) fn monotonic_clock() -> Result<u64, Status> {
    const MONOTONIC: u32 = 1;
    let mut time = 0;
    // SAFETY: see above.
    checked(unsafe { raw::clock_time_get(MONOTONIC, 1, &raw mut time) })?;
    Ok(time)
}

pub(crate) fn random(buffer: &mut [u8]) -> Result<(), Status> {
    // SAFETY: see above.
    checked(unsafe { raw::random_get(buffer.as_mut_ptr(), buffer.len()) })
}

pub(crate) fn buffer(buffer: Buffer, size: usize) -> Result<Vec<u8>, Status> {
    bytes(|data, length| {
        // SAFETY: see above.
        unsafe { raw::proxy_get_buffer_bytes(buffer as u32, 0, size, data, length) }
    })
}

/// All headers of a map, in the encoding of [`crate::wire`].
pub(crate) fn header_map(map: Map) -> Result<Vec<u8>, Status> {
    // SAFETY: see above.
    bytes(|data, size| unsafe { raw::proxy_get_header_map_pairs(map as u32, data, size) })
}

/// Removes every copy of a header.
pub(crate) fn remove_header(map: Map, name: &str) -> Result<(), Status> {
    // SAFETY: see above.
    checked(unsafe { raw::proxy_remove_header_map_value(map as u32, name.as_ptr(), name.len()) })
}

/// Replaces every copy of a header by one.
pub(crate) fn set_header(map: Map, name: &str, value: &[u8]) -> Result<(), Status> {
    // SAFETY: see above.
    checked(unsafe {
        raw::proxy_replace_header_map_value(
            map as u32,
            name.as_ptr(),
            name.len(),
            value.as_ptr(),
            value.len(),
        )
    })
}

pub(crate) fn add_header(map: Map, name: &str, value: &[u8]) -> Result<(), Status> {
    // SAFETY: see above.
    checked(unsafe {
        raw::proxy_add_header_map_value(
            map as u32,
            name.as_ptr(),
            name.len(),
            value.as_ptr(),
            value.len(),
        )
    })
}

pub(crate) fn property(path: &[u8]) -> Result<Vec<u8>, Status> {
    // SAFETY: see above.
    bytes(|data, size| unsafe { raw::proxy_get_property(path.as_ptr(), path.len(), data, size) })
}

pub(crate) fn set_property(path: &[u8], value: &[u8]) -> Result<(), Status> {
    // SAFETY: see above.
    checked(unsafe {
        raw::proxy_set_property(path.as_ptr(), path.len(), value.as_ptr(), value.len())
    })
}

pub(crate) fn shared_data(key: &[u8]) -> Result<(Vec<u8>, u32), Status> {
    let mut cas = 0;
    let value = bytes(|data, size| {
        // SAFETY: see above.
        unsafe { raw::proxy_get_shared_data(key.as_ptr(), key.len(), data, size, &raw mut cas) }
    })?;
    Ok((value, cas))
}

pub(crate) fn set_shared_data(key: &[u8], value: &[u8], cas: u32) -> Result<(), Status> {
    // SAFETY: see above.
    checked(unsafe {
        raw::proxy_set_shared_data(key.as_ptr(), key.len(), value.as_ptr(), value.len(), cas)
    })
}

pub(crate) fn continue_request() -> Result<(), Status> {
    const HTTP_REQUEST: u32 = 0;
    // SAFETY: no pointers.
    checked(unsafe { raw::proxy_continue_stream(HTTP_REQUEST) })
}

/// How often the root context is told that time has passed.
pub(crate) fn set_tick_period(milliseconds: u32) -> Result<(), Status> {
    // SAFETY: no pointers.
    checked(unsafe { raw::proxy_set_tick_period_milliseconds(milliseconds) })
}

/// Which context the calls that follow are about.
pub(crate) fn set_effective_context(context: u32) -> Result<(), Status> {
    // SAFETY: no pointers.
    checked(unsafe { raw::proxy_set_effective_context(context) })
}

pub(crate) fn send_local_response(
    status: u32,
    details: &str,
    body: &[u8],
    headers: &[u8],
    grpc_status: i32,
) -> Result<(), Status> {
    // SAFETY: see above.
    checked(unsafe {
        raw::proxy_send_local_response(
            status,
            details.as_ptr(),
            details.len(),
            body.as_ptr(),
            body.len(),
            headers.as_ptr(),
            headers.len(),
            grpc_status,
        )
    })
}

pub(crate) fn call_foreign(name: &str, arguments: &[u8]) -> Result<Vec<u8>, Status> {
    bytes(|data, size| {
        // SAFETY: see above.
        unsafe {
            raw::proxy_call_foreign_function(
                name.as_ptr(),
                name.len(),
                arguments.as_ptr(),
                arguments.len(),
                data,
                size,
            )
        }
    })
}

/// Sends a request to a cluster, without trailers. Returns the token of the call.
pub(crate) fn http_call(
    cluster: &str,
    headers: &[u8],
    body: &[u8],
    timeout_milliseconds: u32,
) -> Result<u32, Status> {
    let (no_trailers, mut token) = (0_u32.to_le_bytes(), 0);
    // SAFETY: see above.
    checked(unsafe {
        raw::proxy_http_call(
            cluster.as_ptr(),
            cluster.len(),
            headers.as_ptr(),
            headers.len(),
            body.as_ptr(),
            body.len(),
            no_trailers.as_ptr(),
            no_trailers.len(),
            timeout_milliseconds,
            &raw mut token,
        )
    })?;
    Ok(token)
}

pub(crate) fn define_metric(kind: Metric, name: &str) -> Result<u32, Status> {
    let mut id = 0;
    // SAFETY: see above.
    checked(unsafe {
        raw::proxy_define_metric(kind as u32, name.as_ptr(), name.len(), &raw mut id)
    })?;
    Ok(id)
}

pub(crate) fn record_metric(id: u32, value: u64) -> Result<(), Status> {
    // SAFETY: no pointers.
    checked(unsafe { raw::proxy_record_metric(id, value) })
}

pub(crate) fn increment_metric(id: u32, offset: i64) -> Result<(), Status> {
    // SAFETY: no pointers.
    checked(unsafe { raw::proxy_increment_metric(id, offset) })
}
