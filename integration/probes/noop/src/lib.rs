//! A filter that does nothing, as one begins it with the SDK: the floor of every measurement.
//!
//! It has nothing of ours in it, so that what our host costs cannot hide in what is subtracted.

use proxy_wasm::traits::{Context, HttpContext, RootContext};
use proxy_wasm::types::ContextType;

/// The plugin.
struct Noop;

/// One exchange.
struct Exchange;

impl Context for Noop {}

impl RootContext for Noop {
    fn create_http_context(&self, _: u32) -> Option<Box<dyn HttpContext>> {
        Some(Box::new(Exchange))
    }

    fn get_type(&self) -> Option<ContextType> {
        Some(ContextType::HttpContext)
    }
}

impl Context for Exchange {}

impl HttpContext for Exchange {}

// In a block, what the SDK's macro makes is exported to the proxy but not to Rust.
const _: () = {
    proxy_wasm::main! {{
        proxy_wasm::set_root_context(|_| Box::new(Noop));
    }}
};
