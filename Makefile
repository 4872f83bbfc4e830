# Everything a developer types. `make help` lists the targets; each sets up what it needs by itself.
# A finished set-up step leaves a stamp in .cache/stamps, so that the next run does nothing for it.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.ONESHELL:
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

PYTHON ?= python3.11
REGISTRY ?= 127.0.0.1:5000
TESTS ?= tests
FUZZ_SECONDS ?= 60

BIN := $(CURDIR)/.venv/bin
STAMPS := .cache/stamps
CARGO := cargo --color=auto
MANIFEST := --manifest-path dataplane/Cargo.toml
IMAGE_INPUTS := $(shell find functions tools/imagebuild -type f -not -path '*/__pycache__/*' -not -name '*.md' -not -name stack.yaml 2>/dev/null)
export PATH := $(BIN):$(CURDIR)/.cache/bin:$(PATH)
export PYTHONDONTWRITEBYTECODE ?= 1

say = @printf '\033[1m==> %s\033[0m\n' '$(1)'

.PHONY: help setup build demo test check fmt images push lock fuzz bench bench-faasd bench-sim bench-soak reproduce clean

help: ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t 10

setup: $(STAMPS)/debian $(STAMPS)/venv $(STAMPS)/faas-cli build ## Debian packages, Python environment, faas-cli, data plane
	@echo "Set up. Next: make demo"

$(STAMPS)/debian: tools/setup/debian-packages.txt tools/setup/debian.sh
	$(call say,Debian packages)
	@mkdir -p $(STAMPS)
	tools/setup/debian.sh tools/setup/debian-packages.txt
	touch $@

$(STAMPS)/venv: pyproject.toml requirements.lock | $(STAMPS)/debian
	$(call say,Python environment in .venv)
	@[ -x $(BIN)/python ] || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --disable-pip-version-check --quiet --progress-bar on --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --disable-pip-version-check --quiet --no-deps --no-build-isolation -e .
	touch $@

$(STAMPS)/faas-cli: tools/setup/faas-cli/go.mod tools/setup/faas-cli/go.sum | $(STAMPS)/debian
	$(call say,faas-cli from its Go module)
	@mkdir -p .cache/bin $(STAMPS)
	cd tools/setup/faas-cli
	CGO_ENABLED=0 go build -trimpath -o $(CURDIR)/.cache/bin/faas-cli github.com/openfaas/faas-cli
	touch $(CURDIR)/$@

build: | $(STAMPS)/debian ## the data plane, release build
	$(call say,Data plane (cargo build --release))
	@tools/setup/dataplane.sh

demo: setup $(STAMPS)/images ## deploy the sample functions and measure them beside veth and bridge
	@$(BIN)/junctiond demo

test: setup $(STAMPS)/images ## every test but the measurements; TESTS=path narrows the Python side
	$(call say,Rust tests)
	@[ "$(TESTS)" != tests ] || $(CARGO) test $(MANIFEST) --workspace --quiet
	$(call say,Python tests)
	@$(BIN)/python -m pytest -m "not perf and not slow" $(TESTS)

check: $(STAMPS)/venv ## formatters, linters, types, import direction, style; changes nothing
	$(call say,Python: ruff, mypy, import direction)
	@$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(call say,Style tests)
	@$(BIN)/python -m pytest -q tests/style
	$(call say,Rust: fmt and clippy)
	@$(CARGO) fmt $(MANIFEST) --all --check
	$(CARGO) clippy $(MANIFEST) --workspace --all-targets --quiet -- -D warnings
	$(call say,Go: gofmt and vet)
	@unformatted=$$(gofmt -l functions tests)
	[ -z "$$unformatted" ] || { echo "not formatted: $$unformatted"; exit 1; }
	for module in functions/*/go.mod; do (cd "$$(dirname "$$module")" && go vet ./...); done

fmt: $(STAMPS)/venv ## format both languages and apply the safe fixes
	@$(BIN)/ruff check --fix --quiet . || true
	$(BIN)/ruff format .
	$(CARGO) fmt $(MANIFEST) --all
	gofmt -w functions tests

images: $(STAMPS)/images ## OCI images of functions/ into build/images, no Docker daemon
	@ls -d build/images/*/

$(STAMPS)/images: $(IMAGE_INPUTS) | $(STAMPS)/debian $(STAMPS)/venv
	$(call say,Function images)
	@$(BIN)/python -m tools.imagebuild
	touch $@

push: $(STAMPS)/images ## copy the images to the registry at REGISTRY (127.0.0.1:5000)
	@$(BIN)/python -m tools.imagebuild.push $(REGISTRY)

lock: ## rewrite requirements.lock from pyproject.toml (needs uv on PATH)
	@uv pip compile pyproject.toml --extra dev --generate-hashes --python-version 3.11 \
	    --no-emit-index-url --no-header --quiet -o requirements.lock

fuzz: $(STAMPS)/cargo-fuzz ## fuzz what reads foreign bytes, FUZZ_SECONDS for each target
	@for target in http wire port ring; do
	  printf '\033[1m==> %s\033[0m\n' "Fuzzing $$target"
	  mkdir -p dataplane/fuzz/corpus/$$target
	  (cd dataplane && RUSTC_BOOTSTRAP=1 cargo fuzz run --fuzz-dir fuzz $$target fuzz/corpus/$$target $$target/tests/corpus \
	    -- -max_total_time=$(FUZZ_SECONDS) -print_final_stats=1)
	done

$(STAMPS)/cargo-fuzz: | $(STAMPS)/debian
	$(call say,cargo-fuzz)
	@mkdir -p $(STAMPS)
	$(CARGO) install --quiet --locked --root .cache --version 0.13.2 cargo-fuzz
	touch $@

bench: setup $(STAMPS)/images ## measure (a quarter of an hour), write loadtests/results/latest.json, print the goals beside it
	@$(BIN)/python -m loadtests.bench $(OPTIONS)

bench-soak: setup $(STAMPS)/images ## the part of bench with 10,000 cold starts and what is left of them alone
	@$(BIN)/python -m loadtests.bench --only sustained --starts 10000 $(OPTIONS)

bench-faasd: setup $(STAMPS)/images $(STAMPS)/incumbent ## measure beside OpenFaaS on containerd; OPTIONS=--quick for a short run
	@$(BIN)/python -m loadtests.incumbent $(OPTIONS)

bench-sim: $(STAMPS)/venv ## measure the cluster simulator's speed and memory (four minutes); OPTIONS=--quick for a short run
	@$(BIN)/python -m loadtests.simulator $(OPTIONS)

reproduce: $(STAMPS)/venv ## run the papers' experiments in the simulator, write docs/reproduction.md (OPTIONS=--only TEXT: a part)
	@$(BIN)/python -m inference.experiments $(OPTIONS)

$(STAMPS)/incumbent: $(wildcard tools/setup/faasd/* loadtests/incumbent/stack/*) | $(STAMPS)/debian
	$(call say,containerd and runc from Debian; OpenFaaS gateway and our provider from Go modules)
	@mkdir -p .cache/bin $(STAMPS)
	tools/setup/debian.sh tools/setup/faasd/debian-packages.txt
	export CGO_ENABLED=0
	(cd tools/setup/faasd && go build -trimpath -o $(CURDIR)/.cache/bin/openfaas-gateway github.com/openfaas/faas/gateway)
	(cd loadtests/incumbent/stack && go build -trimpath -o $(CURDIR)/.cache/bin/incumbent-stack .)
	touch $(CURDIR)/$@

clean: ## remove everything that was built; Debian packages stay
	@rm -rf .venv .cache build dataplane/target dataplane/fuzz/target .mypy_cache .ruff_cache .pytest_cache .hypothesis
