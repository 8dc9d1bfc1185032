//! What a job costs before a filter has thought about it: the host calls that it cannot be done without, and nothing else.
//!
//! No filter in WebAssembly that does the job can cost less in this proxy: nothing is parsed, allocated or kept for a stream,
//! and of the callbacks only those are exported in which the work is done: the log's with the feature `late`, for
//! `telemetry` alone. The configuration is the name of the job:
//!
//! - `nothing`;
//! - `authz`: read the headers and the clock, publish the decision, write the user's name into a header, remove the token,
//!   count;
//! - `authz RS256` and `authz ES256`: the same, and have the proxy verify a signature;
//! - `ratelimit`: read the headers and the clock, load a cell and swap it, publish, count;
//! - `canary`: read the headers, publish the decision, write the version into a header, count both;
//! - `headers`: read the headers, as who finds that nothing is to be done must;
//! - `telemetry state`: read the headers, publish the route and what is done;
//! - `authz by hand`, `canary by hand` and `telemetry state by hand`: the same as without, but what is published is found
//!   out, as one would for this one configuration (`by_hand.rs`). They are there with the feature `by-hand`, and with it the
//!   callbacks by which a filter knows whose exchange it is and forgets it; with `whole` also those of the response and the
//!   log, which canary and telemetry need for what they may be configured to do.
//! - `telemetry`: read the headers, and at the end read the status, the flags, the duration and the tenant's
//!   header, count the request, and record and add up how long it took;
//! - `telemetry by hand`, with `whole`.

#![expect(unsafe_code, reason = "the ABI by itself: exports, foreign functions and one buffer")]

use std::cell::Cell;
#[cfg(feature = "by-hand")]
use std::cell::RefCell;
use std::ptr::null_mut;

#[cfg(feature = "by-hand")]
mod by_hand;

mod proxy {
    #[link(wasm_import_module = "env")]
    unsafe extern "C" {
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
        #[cfg(feature = "late")]
        pub(super) fn proxy_get_property(
            path: *const u8,
            path_size: usize,
            data: *mut *mut u8,
            size: *mut usize,
        ) -> u32;
        pub(super) fn proxy_remove_header_map_value(map: u32, key: *const u8, size: usize) -> u32;
        pub(super) fn proxy_replace_header_map_value(
            map: u32,
            key: *const u8,
            key_size: usize,
            value: *const u8,
            value_size: usize,
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
        pub(super) fn proxy_get_current_time_nanoseconds(time: *mut u64) -> u32;
        pub(super) fn proxy_define_metric(
            kind: u32,
            name: *const u8,
            size: usize,
            id: *mut u32,
        ) -> u32;
        pub(super) fn proxy_increment_metric(id: u32, offset: i64) -> u32;
        #[cfg(feature = "late")]
        pub(super) fn proxy_record_metric(id: u32, value: u64) -> u32;
        pub(super) fn proxy_call_foreign_function(
            name: *const u8,
            name_size: usize,
            arguments: *const u8,
            arguments_size: usize,
            data: *mut *mut u8,
            size: *mut usize,
        ) -> u32;
    }

    #[link(wasm_import_module = "wasi_snapshot_preview1")]
    unsafe extern "C" {
        pub(super) fn clock_time_get(clock: u32, precision: u64, time: *mut u64) -> u32;
    }
}

/// The map of the request's headers.
const REQUEST: u32 = 0;
/// The buffer of the plugin's configuration.
const CONFIGURATION: u32 = 7;
/// The one cell that is read and written.
const CELL: &[u8] = b"or1:floor";
/// As large as a cell of the limiter that holds one key.
const DEBT: [u8; 20] = [0; 20];

/// What `verify_signature` is asked (`VerifySignatureArguments` of Envoy): SHA-256, the public half of a key of the corpus,
/// and a signature by its private half of the first two parts of a token, made with `openssl dgst -sha256 -sign`.
const RS256: &[u8] = include_bytes!("../verify-rs256.bin");
const ES256: &[u8] = include_bytes!("../verify-es256.bin");
/// Its answer: the signature is good.
const GOOD: &[u8] = &[8, 1];

/// A job.
#[derive(Clone, Copy)]
enum Job {
    /// None: what it costs to be asked.
    Nothing,
    /// To let in who has a token that is known, and write into a header who it is.
    Authz,
    /// The same, where the token is not known yet.
    AuthzVerifying(&'static [u8]),
    /// To charge a key.
    Ratelimit,
    /// To choose a version.
    Canary,
    /// To see that there is nothing to do.
    Headers,
    /// To tell the route.
    TelemetryState,
    /// The same three, by hand.
    #[cfg(feature = "by-hand")]
    AuthzByHand,
    #[cfg(feature = "by-hand")]
    CanaryByHand,
    #[cfg(feature = "by-hand")]
    TelemetryStateByHand,
    /// The same, and to count the request by its tenant when it ends.
    Telemetry,
    #[cfg(feature = "whole")]
    TelemetryByHand,
}

thread_local! {
    static JOB: Cell<Job> = const { Cell::new(Job::Nothing) };
    static COUNTER: Cell<u32> = const { Cell::new(0) };
    #[cfg(feature = "late")]
    static HISTOGRAM: Cell<u32> = const { Cell::new(0) };
    /// A counter for each tenant, and one for all others.
    #[cfg(feature = "whole")]
    static TENANTS: Cell<[u32; by_hand::TENANTS.len() + 1]> = const { Cell::new([0; _]) };
    /// The exchanges whose route is known, each where its number has its place.
    #[cfg(feature = "whole")]
    static ROUTED: Cell<[u32; by_hand::PLACES]> = const { Cell::new([0; _]) };
    /// How many of a million get the second version: none, but who compiles this does not know.
    #[cfg(feature = "by-hand")]
    static SHARE: Cell<u32> = const { Cell::new(0) };
    #[cfg(feature = "by-hand")]
    static KNOWN: RefCell<[by_hand::Token; by_hand::KNOWN]> =
        const { RefCell::new([by_hand::Token::NONE; by_hand::KNOWN]) };
    /// Where the proxy puts what it gives; the next thing overwrites it.
    static BUFFER: Cell<[u8; 1 << 16]> = const { Cell::new([0; 1 << 16]) };
}

#[unsafe(no_mangle)]
extern "C" fn proxy_abi_version_0_2_1() {}

#[unsafe(no_mangle)]
extern "C" fn _initialize() {}

#[unsafe(no_mangle)]
extern "C" fn proxy_on_memory_allocate(size: usize) -> *mut u8 {
    BUFFER.with(|buffer| if size <= 1 << 16 { buffer.as_ptr().cast() } else { null_mut() })
}

#[unsafe(no_mangle)]
extern "C" fn proxy_on_configure(_: u32, size: usize) -> u32 {
    let (mut data, mut length) = (null_mut(), 0);
    // SAFETY: two live variables.
    unsafe {
        proxy::proxy_get_buffer_bytes(CONFIGURATION, 0, size, &raw mut data, &raw mut length)
    };
    if data.is_null() {
        return 0;
    }
    // SAFETY: what came lies in the buffer, which nothing else writes before the name is read.
    let name = unsafe { std::slice::from_raw_parts(data, length) };
    JOB.set(match name {
        b"authz" => Job::Authz,
        b"authz RS256" => Job::AuthzVerifying(RS256),
        b"authz ES256" => Job::AuthzVerifying(ES256),
        b"ratelimit" => Job::Ratelimit,
        b"canary" => Job::Canary,
        b"headers" => Job::Headers,
        b"telemetry state" => Job::TelemetryState,
        b"telemetry" => Job::Telemetry,
        #[cfg(feature = "by-hand")]
        b"authz by hand" => Job::AuthzByHand,
        #[cfg(feature = "by-hand")]
        b"canary by hand" => Job::CanaryByHand,
        #[cfg(feature = "by-hand")]
        b"telemetry state by hand" => Job::TelemetryStateByHand,
        #[cfg(feature = "whole")]
        b"telemetry by hand" => Job::TelemetryByHand,
        b"nothing" => Job::Nothing,
        _ => return 0,
    });
    COUNTER.set(define(0, b"floor_total"));
    #[cfg(feature = "late")]
    HISTOGRAM.set(define(2, b"floor_milliseconds"));
    #[cfg(feature = "whole")]
    if let Job::TelemetryByHand = JOB.get() {
        TENANTS.set(std::array::from_fn(|tenant| {
            define(0, &[&b"floor_total_of_"[..], by_hand::tenant_name(tenant)].concat())
        }));
        COUNTER.set(define(0, b"floor_milliseconds_sum"));
    }
    1
}

fn define(kind: u32, name: &[u8]) -> u32 {
    let mut id = 0;
    // SAFETY: a live slice, and a live variable.
    unsafe { proxy::proxy_define_metric(kind, name.as_ptr(), name.len(), &raw mut id) };
    id
}

#[unsafe(no_mangle)]
extern "C" fn proxy_on_request_headers(context: u32, _: usize, _: u32) -> u32 {
    let (mut data, mut size, mut version, mut now) = (null_mut(), 0, 0, 0);
    // SAFETY: the proxy reads live slices and writes live variables before it returns.
    unsafe {
        match JOB.get() {
            Job::Nothing => return 0,
            Job::Headers => {
                proxy::proxy_get_header_map_pairs(REQUEST, &raw mut data, &raw mut size);
            }
            Job::TelemetryState => {
                proxy::proxy_get_header_map_pairs(REQUEST, &raw mut data, &raw mut size);
                publish(b"http_route", b"/checkout/{order}");
                publish(b"request_operation", b"GET /checkout/{order}");
                return 0;
            }
            Job::Telemetry => {
                proxy::proxy_get_header_map_pairs(REQUEST, &raw mut data, &raw mut size);
                // What is counted is counted at the end.
                return 0;
            }
            #[cfg(feature = "by-hand")]
            Job::TelemetryStateByHand => {
                if let Some(operation) = by_hand::operation(headers()) {
                    publish(b"http_route", operation.get(4..).unwrap_or_default());
                    publish(b"request_operation", operation);
                }
                return 0;
            }
            #[cfg(feature = "whole")]
            Job::TelemetryByHand => {
                if by_hand::operation(headers()).is_some() {
                    ROUTED.with(|routed| by_hand::note(routed, context));
                }
                return 0;
            }
            #[cfg(feature = "by-hand")]
            Job::CanaryByHand => {
                let Some(variant) = by_hand::variant(headers(), SHARE.get()) else { return 0 };
                let (header, version) = (
                    b"x-canary-checkout",
                    variant.rsplit(|byte| *byte == b'=').next().unwrap_or_default(),
                );
                proxy::proxy_increment_metric(COUNTER.get(), 1);
                publish(b"canary", variant);
                proxy::proxy_replace_header_map_value(
                    REQUEST,
                    header.as_ptr(),
                    header.len(),
                    version.as_ptr(),
                    version.len(),
                );
            }
            #[cfg(feature = "by-hand")]
            Job::AuthzByHand => {
                if !KNOWN.with_borrow_mut(|known| by_hand::is_admitted(headers(), known)) {
                    return 0;
                }
                proxy::proxy_get_current_time_nanoseconds(&raw mut now);
                admit();
            }
            Job::Authz => {
                look();
                admit();
            }
            Job::AuthzVerifying(arguments) => {
                look();
                // A signature that is not good is not counted, so that the bench notices.
                if !verify(arguments) {
                    return 0;
                }
                admit();
            }
            Job::Canary => {
                let header = b"x-canary-checkout";
                proxy::proxy_get_header_map_pairs(REQUEST, &raw mut data, &raw mut size);
                proxy::proxy_increment_metric(COUNTER.get(), 1);
                publish(b"canary", b"stable:checkout=v1");
                proxy::proxy_replace_header_map_value(
                    REQUEST,
                    header.as_ptr(),
                    header.len(),
                    b"v1".as_ptr(),
                    2,
                );
            }
            Job::Ratelimit => {
                proxy::proxy_get_header_map_pairs(REQUEST, &raw mut data, &raw mut size);
                proxy::clock_time_get(1, 1, &raw mut now);
                proxy::proxy_get_shared_data(
                    CELL.as_ptr(),
                    CELL.len(),
                    &raw mut data,
                    &raw mut size,
                    &raw mut version,
                );
                proxy::proxy_set_shared_data(
                    CELL.as_ptr(),
                    CELL.len(),
                    DEBT.as_ptr(),
                    DEBT.len(),
                    version,
                );
                publish(b"ratelimit", b"admitted:plenty");
            }
        }
        proxy::proxy_increment_metric(COUNTER.get(), 1);
    }
    0
}

#[cfg(feature = "late")]
#[unsafe(no_mangle)]
extern "C" fn proxy_on_log(context: u32) {
    #[cfg(feature = "whole")]
    if let Job::TelemetryByHand = JOB.get() {
        return tell(context);
    }
    let _ = context;
    if !matches!(JOB.get(), Job::Telemetry) {
        return;
    }
    let paths: [&[u8]; 4] =
        [b"response\0code", b"response\0flags", b"request\0duration", b"request\0headers\0x-user"];
    let (mut data, mut size) = (null_mut(), 0);
    for path in paths {
        // SAFETY: a live slice, and live variables.
        let status = unsafe {
            proxy::proxy_get_property(path.as_ptr(), path.len(), &raw mut data, &raw mut size)
        };
        // What cannot be read is not counted, so that the bench notices.
        if status != 0 {
            return;
        }
    }
    // SAFETY: no pointers.
    unsafe {
        proxy::proxy_increment_metric(COUNTER.get(), 1);
        proxy::proxy_record_metric(HISTOGRAM.get(), 1);
        proxy::proxy_increment_metric(COUNTER.get(), 1);
    }
}

/// Counts an exchange by its tenant, if it has a route and an upstream answered, and how long it took.
#[cfg(feature = "whole")]
fn tell(context: u32) {
    if !ROUTED.with(|routed| by_hand::is_noted(routed, context)) {
        return;
    }
    let number =
        |path| property(path).and_then(|bytes| bytes.try_into().ok().map(i64::from_le_bytes));
    let (code, flags) = (number(b"response\0code"), number(b"response\0flags"));
    let (Some(200..400), Some(0), Some(nanoseconds)) = (code, flags, number(b"request\0duration"))
    else {
        return;
    };
    let tenant = by_hand::tenant(property(b"request\0headers\0x-user").unwrap_or_default());
    let milliseconds = nanoseconds / 1_000_000;
    // SAFETY: no pointers.
    unsafe {
        proxy::proxy_increment_metric(TENANTS.get().get(tenant).copied().unwrap_or_default(), 1);
        proxy::proxy_record_metric(HISTOGRAM.get(), milliseconds.unsigned_abs());
        if milliseconds > 0 {
            proxy::proxy_increment_metric(COUNTER.get(), milliseconds);
        }
    }
}

/// What the proxy has under this path, until it is asked for something else.
#[cfg(feature = "whole")]
fn property(path: &[u8]) -> Option<&'static [u8]> {
    let (mut data, mut size) = (null_mut(), 0);
    // SAFETY: live variables and a live slice; what came lies in the buffer, which nothing writes before it has been read.
    unsafe {
        let status =
            proxy::proxy_get_property(path.as_ptr(), path.len(), &raw mut data, &raw mut size);
        (status == 0 && !data.is_null()).then(|| std::slice::from_raw_parts(data, size))
    }
}

#[cfg(feature = "by-hand")]
#[unsafe(no_mangle)]
extern "C" fn proxy_on_context_create(_: u32, _: u32) {}

#[cfg(feature = "whole")]
#[unsafe(no_mangle)]
extern "C" fn proxy_on_response_headers(_: u32, _: usize, _: u32) -> u32 {
    0
}

#[cfg(feature = "by-hand")]
#[unsafe(no_mangle)]
extern "C" fn proxy_on_delete(_: u32) {}

/// The request's headers, until the proxy is asked for something else.
#[cfg(feature = "by-hand")]
fn headers() -> &'static [u8] {
    let (mut data, mut size) = (null_mut(), 0);
    // SAFETY: live variables; what came lies in the buffer, which nothing writes before it has been read.
    unsafe {
        proxy::proxy_get_header_map_pairs(REQUEST, &raw mut data, &raw mut size);
        if data.is_null() { &[] } else { std::slice::from_raw_parts(data, size) }
    }
}

/// Reads the request, and the clock.
fn look() {
    let (mut data, mut size, mut now) = (null_mut(), 0, 0);
    // SAFETY: the proxy writes live variables before it returns.
    unsafe {
        proxy::proxy_get_header_map_pairs(REQUEST, &raw mut data, &raw mut size);
        proxy::proxy_get_current_time_nanoseconds(&raw mut now);
    }
}

/// Lets in a user whose token is good.
fn admit() {
    let (token, header, user) = (b"authorization", b"x-jwt-sub", b"ada");
    publish(b"authz", b"allowed:signed-in:0");
    // SAFETY: live slices.
    unsafe {
        proxy::proxy_replace_header_map_value(
            REQUEST,
            header.as_ptr(),
            header.len(),
            user.as_ptr(),
            user.len(),
        );
        proxy::proxy_remove_header_map_value(REQUEST, token.as_ptr(), token.len());
    }
}

/// Whether the proxy says that a signature is good.
fn verify(arguments: &[u8]) -> bool {
    let (name, mut data, mut size) = (b"verify_signature", null_mut(), 0);
    // SAFETY: live slices and variables; the answer lies in the buffer, which nothing writes before it is read.
    unsafe {
        let status = proxy::proxy_call_foreign_function(
            name.as_ptr(),
            name.len(),
            arguments.as_ptr(),
            arguments.len(),
            &raw mut data,
            &raw mut size,
        );
        status == 0 && !data.is_null() && std::slice::from_raw_parts(data, size) == GOOD
    }
}

/// Leaves a value in filter state.
fn publish(name: &[u8], value: &[u8]) {
    // SAFETY: live slices.
    unsafe {
        proxy::proxy_set_property(name.as_ptr(), name.len(), value.as_ptr(), value.len());
    }
}
