# `make` alone lists the targets. The first one to try is `make demo`.

# What is costly to get again lives outside the clone, once for all clones: build output, Kafka's jars (scripts/common.sh).
AQUEDUCT_CACHE ?= $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/aqueduct
CARGO_TARGET_DIR ?= $(AQUEDUCT_CACHE)/target
export AQUEDUCT_CACHE CARGO_TARGET_DIR

# dev, release or measure; the README says what each costs.
PROFILE ?= dev
# Flags for every cargo build, and for `cargo test` after them: CI says --locked and --no-fail-fast.
CARGO_FLAGS ?=
TEST_FLAGS ?=
# Of make demo: RECORDS=100000, ARGS='--keep --kafka localhost:9092'.
RECORDS ?=
ARGS ?=
KAFKA_PORT ?= 9092
# More than two cores: most tests wait for servers that stop and start.
TEST_THREADS ?= 4
# Of make fuzz, for each of its targets.
FUZZ_SECONDS ?= 3600

# cargo's folder for a profile is the profile's name, but for the two oldest ones.
aqueduct = $(CARGO_TARGET_DIR)/$(if $(filter dev test,$(PROFILE)),debug,$(PROFILE))/aqueduct

.DEFAULT_GOAL := help
.PHONY: help demo test test-zookeeper chaos simulation fuzz bench kafka kafka-stop kafka-zookeeper build release fmt lint deny ci clean preflight

help: ## This list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-16s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

demo: build ## All of it in one go, nothing to set up: RECORDS=10000 ARGS='--keep'
	$(aqueduct) demo $(if $(RECORDS),--records $(RECORDS)) $(ARGS)

test: ## All tests, on a real PostgreSQL and a real Kafka, which they start themselves
	@scripts/preflight kafka
# Before the tests, so that no test's time limit has to allow for a download.
	@scripts/kafka jars
	@scripts/kafka jars --zookeeper
	RUST_TEST_THREADS=$(TEST_THREADS) cargo test --workspace $(CARGO_FLAGS) $(TEST_FLAGS)

test-zookeeper: ## The tests that need a Kafka, on Kafka 3.9 with ZooKeeper
	@scripts/preflight kafka
	@scripts/kafka jars --zookeeper
	RUST_TEST_THREADS=$(TEST_THREADS) AQUEDUCT_TEST_KAFKA=zookeeper cargo test --workspace $(CARGO_FLAGS) --test kafka_log_ingest --test kafka_log_load \
		--test kafka_log_outage --test end_to_end --test failures_delivery --test failures_inputs --test failures_postgres \
		--test failures_supervision --test chaos --test simulation $(TEST_FLAGS)

chaos: ## Random faults of everything at once: AQUEDUCT_CHAOS_SECONDS=300 AQUEDUCT_CHAOS_SEED=… (it prints its own)
	@scripts/preflight kafka
	@scripts/kafka jars
	AQUEDUCT_CHAOS_SECONDS=$${AQUEDUCT_CHAOS_SECONDS:-300} cargo test $(CARGO_FLAGS) --test chaos -- --nocapture under_random

simulation: ## One to eight daemons that come, go and die: AQUEDUCT_SIMULATION_SECONDS=600 AQUEDUCT_SIMULATION_SEED=…
	@scripts/preflight kafka
	@scripts/kafka jars
	AQUEDUCT_SIMULATION_SECONDS=$${AQUEDUCT_SIMULATION_SECONDS:-600} cargo test $(CARGO_FLAGS) --test simulation -- --nocapture

fuzz: ## Random inputs for every reader and the encoder: FUZZ_SECONDS=3600 for each
	@scripts/preflight kafka
	AQUEDUCT_FUZZ_SECONDS=$(FUZZ_SECONDS) cargo test --workspace $(CARGO_FLAGS) --test transform --test failures_inputs --test types -- \
		fuzz_ properties:: --nocapture --test-threads 16

# Its figures are those of PROFILE=measure unless told otherwise: what the dev profile does not optimise is most of the load path.
bench: PROFILE := $(if $(filter file,$(origin PROFILE)),measure,$(PROFILE))
bench: ## Measure against psql and a bare producer: BENCH_RECORDS=500000 BENCH_ROUNDS=1 PROFILE=measure
	@scripts/preflight bench
	@scripts/kafka jars
	cargo build --workspace --profile $(PROFILE) $(CARGO_FLAGS)
	bench/run $(PROFILE) $(dir $(aqueduct))

kafka: ## Start a real Apache Kafka on localhost:9092 (KAFKA_PORT)
	@scripts/kafka start --port $(KAFKA_PORT)

kafka-zookeeper: ## The same with Kafka 3.9 and ZooKeeper
	@scripts/kafka start --port $(KAFKA_PORT) --zookeeper

kafka-stop: ## Stop what the two above have started; the data stay
	@scripts/kafka stop
	@scripts/kafka stop --zookeeper

build: preflight ## Build the binary: PROFILE=dev, release or measure
	cargo build --profile $(PROFILE) $(CARGO_FLAGS)

release: preflight ## Build the optimised binary
	cargo build --release $(CARGO_FLAGS)

fmt: ## Format the source
	cargo fmt --all

lint: ## Format, clippy and documentation, with no warning left
	cargo fmt --all --check
	cargo clippy --workspace --all-targets $(CARGO_FLAGS) -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --no-deps --workspace $(CARGO_FLAGS)

deny: ## Licences, advisories and sources of the dependencies, if cargo-deny is installed
	@if cargo deny --version >/dev/null 2>&1; then cargo deny check; \
	else echo "make deny: skipped, cargo-deny is not installed (cargo install cargo-deny)"; fi

ci: ## What CI runs, with the time that each step takes
	.ci/run

clean: kafka-stop ## Remove the build output and the data of make kafka; the jars stay
	cargo clean
	rm -rf "$(AQUEDUCT_CACHE)/kafka-kraft-data" "$(AQUEDUCT_CACHE)/kafka-zookeeper-data"

preflight:
	@scripts/preflight
