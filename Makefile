# `make` lists the targets.

# cargo, where rustup put it and the shell doesn't know.
export PATH := $(PATH):$(HOME)/.cargo/bin
BINARIES = $(or $(CARGO_TARGET_DIR),target)/debug
RELEASE = $(or $(CARGO_TARGET_DIR),target)/release

.DEFAULT_GOAL := help
.PHONY: help demo test bench bench-site faults soak images stack infra-test deploy-test deploy-test-full fmt lint setup clean-data

help: ## List the targets
	@echo "make TARGET [ARGS=\"...\"]"
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-16s %s\n", $$1, $$2 }' Makefile

demo: ## Run the five apps end to end, show their results and their pages (ARGS="--exit --json")
	@scripts/setup
	@test -x $(BINARIES)/millstream || echo "The first build takes some minutes; the next ones take seconds."
	@cargo build --locked -p millstream-cli -p wordcount -p users -p health -p weather -p recalls
	@cargo run -q --locked -p millstream-cli -- demo $(ARGS)

test: ## Check everything: format, lints, links, all tests; ends with "N passed, N failed"
	@scripts/test

bench: ## Measure the engine on Kafka against a hand-written limit, Spark and others (ARGS="--events 1000000 --rounds 3 --no-peers --json")
	@scripts/setup
	@test -x $(RELEASE)/bench || echo "The first optimised build takes some 20 minutes on 2 cores."
	@cargo build --release --locked --workspace --bin bench
	@$(RELEASE)/bench $(ARGS)

bench-site: ## Measure the recalls site with 40,000 records: time to searchable, requests, memory (ARGS="30": seconds each)
	@scripts/bench-site $(ARGS)

faults: ## Each fault on each sink, on real servers under load: lost, doubled, recovery (ARGS="--fault sigkill --sink mysql --json")
	@scripts/faults $(ARGS)

soak: ## Play a million schedules of the simulation: crashes, pauses, lost replies, by seed (ARGS="100000 0": how many, first seed)
	@scripts/soak $(ARGS)

images: ## Make the images of the servers (ARGS="kafka mysql", "apps"): pulled where a registry answers, else built
	@scripts/images $(ARGS)

stack: ## Run the apps on Kafka, Cassandra, MySQL, OpenSearch and S3 in containers (ARGS="stop", "status", "remove")
	@scripts/stack $(ARGS)

infra-test: ## Check terraform/, and apply it to an API on this machine: no account needed (ARGS="-k cluster")
	@scripts/infra-test $(ARGS)

deploy-test: ## Check ansible/: from Terraform's output to five apps that run on a host in a container (ARGS="--lint", "-k preflight")
	@scripts/deploy-test $(ARGS)

deploy-test-full: ## … and what needs several hosts or takes long: quorum, upgrade, backup and restore
	@scripts/deploy-test --full $(ARGS)

fmt: ## Format the code
	@cargo fmt --all

lint: ## Check format, lints and links only
	@scripts/setup rustfmt clippy
	@cargo fmt --all --check
	@cargo clippy --locked --workspace --all-targets -- -D warnings
	@scripts/check-links

setup: ## Install what building needs (apt), or name what is missing
	@scripts/setup

clean-data: ## Delete what the demo wrote: .millstream
	@rm -rf .millstream
