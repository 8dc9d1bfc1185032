# The verbs. Each does its own set-up on a fresh machine and says what it does; what it does is in tools/ or in cargo.
.DEFAULT_GOAL := help
.PHONY: help run build test unit cases wasm-test integration layers lint fmt bench reproduce docs deny clean \
	func-e-test istio-tools istio-up istio-down istio-test

filters := authz canary ratelimit telemetry suite
modules := $(filters:%=%-wasm) brittle floor noop probe

help: ## print this
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "%-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: build ## start an Envoy with the filters and take a tour of them
	@envoy=$$(tools/envoy) && ENVOY=$$envoy cargo run --profile tool -p integration --bin tour

build: ## the modules and the command line, into dist/
	@tools/build

test: build unit wasm-test integration ## every ring of tests; the corpus runs natively in `unit`

unit: ## the native tests, with no Envoy
	cargo test --workspace --exclude integration $(modules:%=--exclude %)

cases: ## the corpus of cases, run natively
	cargo test $(filters:%=-p %) --test cases

wasm-test: ## the numeric cores, as WebAssembly under Node
	tools/wasm-cargo wasm32-unknown-unknown test -p canary -p ratelimit --test wasm

integration: build ## the corpus and the system tests, on a real Envoy
	@envoy=$$(tools/envoy) && ENVOY=$$envoy cargo test -p integration

.PHONY: fuzz replay
fuzz: ## make up what clients and configurations say, FUZZ_SECONDS (60) for each target
	@tools/fuzz

replay: ## what once failed when it was made up
	cargo test --locked --release $(fuzz) --target-dir target/fuzz

.PHONY: images images-test
images: build ## an image of each module, into dist/images/
	@tools/images

images-test: ## the command line's images, in a real registry
	@tools/registry-tools && cargo test -p outrigger --test registry -- --ignored || [ $$? -eq 3 ]

.PHONY: prometheus-test
prometheus-test: build ## telemetry's metrics and rules, in a real Prometheus; says so when it is skipped
	@tools/prometheus-tools && envoy=$$(tools/envoy) && ENVOY=$$envoy cargo test -p integration --test observability -- --ignored || [ $$? -eq 3 ]

layers: ## which crate may depend on which
	@tools/layers --self-test
	@tools/layers

bed := --manifest-path integration/istio/Cargo.toml
fuzz := --manifest-path fuzz/Cargo.toml

lint: layers ## formatting, clippy and the layers
	cargo fmt --all --check && cargo fmt $(bed) --all --check && cargo fmt $(fuzz) --check
	cargo clippy --locked --workspace --all-targets --features floor/whole -- -D warnings
	cargo clippy --locked $(bed) --target-dir target/istio-build --all-targets -- -D warnings
	cargo clippy --locked $(fuzz) --target-dir target/fuzz --all-targets -- -D warnings

fmt: ## format everything
	cargo fmt --all && cargo fmt $(bed) --all && cargo fmt $(fuzz)

bench: build ## what each filter costs, on a real Envoy
	@envoy=$$(tools/envoy) && ENVOY=$$envoy cargo run --profile tool -p integration --bin bench

reproduce: build ## build the modules twice and compare bytes
	@tools/reproduce

docs: ## the crates' documentation, into target/doc
	RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps

deny: ## licences, sources and versions of everything we depend on
	@tools/cargo-deny check --hide-inclusion-graph bans licenses sources

func-e-test: build ## every file of envoy-configs/, served by func-e; says so when it is skipped
	@tools/func-e-test

istio-tools: ## what the real-Istio bed runs, into the cache; needs Go, and ten minutes or more, once
	@tools/istio-tools || [ $$? -eq 3 ]

istio-up: ## a real Istio on this machine, pods being network namespaces; needs root
	@tools/istio-up || [ $$? -eq 3 ]

istio-down: ## take it down
	@tools/istio-down

istio-test: build ## the filters in a mesh, delivered by istiod; says so when it is skipped
	@tools/istio-test

clean: ## remove what was built here; downloads stay in the cache
	cargo clean
	rm -rf dist
