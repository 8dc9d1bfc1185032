//! What the proxy calls, by the names of the ABI.

use filter_core::{Filter, Phase};

use crate::{abi, logger};

/// What the proxy is to do with what it has of a message (`Action` of the ABI).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Action {
    /// Let it go on.
    Continue = 0,
    /// Keep it back.
    Pause = 1,
}

/// Makes a crate of type `cdylib` the module of one filter: `plugin!(FILTER)`, with the phases behind it that the filter is
/// asked in after the request (`plugin!(FILTER, Response, Log)`; [`Filter::LATER`] holds this to it).
///
/// A proxy makes every callback that a module exports, for each exchange, whether or not anything comes of it. So a
/// module exports no other than its filter needs.
#[macro_export]
macro_rules! plugin {
    ($filter:ty $(, $later:ident)*) => {
        // In a block, what is made here is exported to the proxy but not to Rust.
        const _: () = {
            use $crate::{Action, Module};

            assert!(
                $crate::is_asked_in::<$filter>(&[$($crate::Phase::$later),*]),
                "a module exports the callbacks of its filter's later phases, and no other"
            );

            ::std::thread_local! {
                static MODULE: Module<$filter> = const { Module::new() };
            }

            $crate::export! {
                proxy_abi_version_0_2_1() {}
                _initialize() {
                    $crate::start();
                }
                proxy_on_memory_allocate(size: usize) -> *mut u8 {
                    $crate::allocate(size)
                }
                proxy_on_context_create(context: u32, root: u32) {
                    MODULE.with(|module| module.on_context_create(context, root));
                }
                proxy_on_configure(root: u32, size: usize) -> bool {
                    MODULE.with(|module| module.on_configure(root, size))
                }
                proxy_on_tick(root: u32) {
                    MODULE.with(|module| module.on_tick(root));
                }
                proxy_on_http_call_response(root: u32, token: u32, headers: usize, body: usize, _trailers: usize) {
                    MODULE.with(|module| module.on_http_call_response(root, token, headers, body));
                }
                proxy_on_request_headers(context: u32, _count: usize, _end: bool) -> Action {
                    MODULE.with(|module| module.on_request_headers(context))
                }
                // These keep back the rest of a request that is held.
                proxy_on_request_body(context: u32, _size: usize, _end: bool) -> Action {
                    MODULE.with(|module| module.on_request_rest(context))
                }
                proxy_on_request_trailers(context: u32, _count: usize) -> Action {
                    MODULE.with(|module| module.on_request_rest(context))
                }
                proxy_on_delete(context: u32) {
                    MODULE.with(|module| module.on_delete(context));
                }
            }
            $($crate::export! { $later })*
        };
    };
}

/// Exports functions to the proxy; of later phases, those of one.
#[doc(hidden)]
#[macro_export]
macro_rules! export {
    (Response) => {
        $crate::export! {
            proxy_on_response_headers(context: u32, _count: usize, _end: bool) -> Action {
                MODULE.with(|module| module.on_response_headers(context));
                Action::Continue
            }
        }
    };
    (Log) => {
        $crate::export! {
            proxy_on_log(context: u32) {
                MODULE.with(|module| module.on_log(context));
            }
        }
    };
    ($($name:ident($($argument:ident: $type:ty),*) $(-> $result:ty)? $body:block)+) => {
        $(
            #[expect(unsafe_code, reason = "the proxy finds a callback by its name")]
            #[unsafe(no_mangle)]
            extern "C" fn $name($($argument: $type),*) $(-> $result)? $body
        )+
    };
}

/// Whether these are the phases after the request that a filter is asked in, in its order.
#[doc(hidden)]
#[must_use]
pub const fn is_asked_in<F: Filter>(phases: &[Phase]) -> bool {
    let (mut left, mut right) = (F::LATER, phases);
    while let ([one, ones @ ..], [other, others @ ..]) = (left, right) {
        // What can be compared at compile time is numbers.
        if *one as u8 != *other as u8 {
            return false;
        }
        (left, right) = (ones, others);
    }
    left.is_empty() && right.is_empty()
}

/// The body of a module's `_initialize`: what comes before its first callback.
pub fn start() {
    abi::construct();
    logger::start();
}
