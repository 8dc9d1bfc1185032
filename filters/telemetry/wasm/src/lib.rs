//! The telemetry filter as a module for Envoy.

filter_host::plugin!(telemetry::Telemetry, Response, Log);
