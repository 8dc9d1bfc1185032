//! The canary filter as a module for Envoy.

filter_host::plugin!(canary::Canary, Response, Log);
