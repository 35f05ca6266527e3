# One verb a target; the same commands locally and in CI.
.DEFAULT_GOAL := help
SHELL := /bin/bash
UV := $(shell command -v uv 2>/dev/null || echo .tools/bin/uv)
RUN := $(UV) run --no-sync
PYTEST := $(RUN) pytest
# Each worker starts servers of its own; most tests wait more than they compute.
WORKERS ?= 3
SIDE_BY_SIDE := -n $(WORKERS) --dist loadfile --no-loadscope-reorder
export UV_PROJECT_ENVIRONMENT ?= .venv

##@ Use
demo: install-for-use ## Run the whole hub on real parts and sample data (ARGS=--exit ends it by itself)
	$(RUN) penstock demo $(ARGS)
up: install-for-use ## Start the local stack: Kafka, PostgreSQL, S3, Samba
	$(RUN) penstock up $(ARGS)
down: ## Stop the local stack
	$(RUN) penstock down

##@ Check
check: install-python ## Format, lint, types, architecture, lock, generated files, manifests (a minute)
	$(UV) lock --check
	$(RUN) ruff format --check .
	$(RUN) ruff check .
	$(RUN) mypy
	$(RUN) lint-imports
	$(RUN) python scripts/docs.py --check
	$(RUN) python scripts/metrics.py --check
	$(RUN) python -m deploy.grafana --check
	$(RUN) python -m scripts.manifests --check
	$(RUN) hadolint deploy/Dockerfile deploy/compose/Dockerfile
	$(PYTEST) --quiet tests/unit/deploy
test: install ## Unit, contract, integration and end-to-end tests (those of the manifests: check)
	$(PYTEST) $(SIDE_BY_SIDE) tests/unit tests/contract tests/integration tests/e2e \
	  --ignore tests/unit/deploy $(ARGS)
unit: install-python ## No servers, seconds
	$(PYTEST) tests/unit $(ARGS)
integration: install ## One service or adapter with real servers
	$(PYTEST) $(SIDE_BY_SIDE) tests/contract tests/integration $(ARGS)
e2e: install ## The real service processes
	$(PYTEST) tests/e2e $(ARGS)
monitoring: install ## Panels, metrics and alerts of a running hub, with a real Prometheus (a quarter of an hour, as root)
	$(PYTEST) -p no:randomly tests/chaos/test_monitoring.py $(ARGS)
chaos: install ## Kills, cuts, restarts; invariants checked afterwards (longer: ARGS="--chaos-kills 200")
	$(PYTEST) tests/chaos $(ARGS)
image-test: install ## Build the images without an engine, run them read-only (needs buildah, bubblewrap, mmdebstrap)
	$(PYTEST) tests/images $(ARGS)
bench: install ## Ratios against a named baseline in the same run
	$(RUN) python -m tests.benchmarks $(ARGS)

##@ Build
SERVICE ?= scanner
BASE ?= docker.io/library/python:3.11-slim-bookworm
TAG ?= dev
image: ## Build one image with Docker (SERVICE=scanner TAG=dev BASE=name:tag@sha256:…)
	docker build --file deploy/Dockerfile --build-arg SERVICE=$(SERVICE) --build-arg BASE=$(BASE) \
	  --build-arg REVISION=$$(git rev-parse HEAD) --build-arg VERSION=$(TAG) \
	  --tag penstock/$(SERVICE):$(TAG) .
install: install-python ## Everything a new machine needs
	scripts/install-system.sh
install-for-use: install-python ## The same, but a plain folder may take the place of Samba
	scripts/install-system.sh --without-samba
install-python: $(UV) ## The Python environment only
	$(UV) sync --quiet
format: install-python ## Format and fix what can be fixed
	$(RUN) ruff check --fix --quiet .
	$(RUN) ruff format .
docs: install-python ## Generate schemas, AsyncAPI, event and requirement lists, manifests
	$(RUN) python scripts/docs.py
	$(RUN) python scripts/metrics.py
	$(RUN) python -m deploy.grafana
	$(RUN) python -m scripts.manifests
pictures: install ## Draw the dashboards from the demo: docs/operations/dashboards
	$(RUN) python -m tests.chaos.pictures
clean: ## Remove state, caches and the environment
	-$(RUN) penstock down
	rm -rf .venv .tools .penstock .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
help: ## This list
	@awk 'BEGIN {FS = ":.*## "} /^##@/ {printf "\n%s\n", substr($$0, 5)} \
	  /^[a-z0-9-]+:.*## / {printf "  %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.tools/bin/uv:
	scripts/install-uv.sh

.PHONY: monitoring pictures demo up down check test unit integration e2e chaos image-test bench image install install-for-use install-python format docs clean help
