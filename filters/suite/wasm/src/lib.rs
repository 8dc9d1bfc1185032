//! The suite filter as a module for Envoy.

filter_host::plugin!(suite::Suite, Response, Log);
