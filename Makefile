# The front door. `make` alone lists the targets; each installs what it needs into .venv first.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory
# In the order written, also under -j: the cheap checks first, pytest's summary last.
.NOTPARALLEL:
# Compiled once and not in each of hundreds of processes, whatever the shell says.
unexport PYTHONDONTWRITEBYTECODE
VENV := .venv/bin
# Whole files go to processes of their own: the tests of some build on each other.
# One process more than there are processors, for many tests wait.
PROCESSORS := $(shell getconf _NPROCESSORS_ONLN)
PYTEST := $(VENV)/python -m pytest --numprocesses $$(($(PROCESSORS) + 1)) --maxprocesses 4 --dist loadfile
# What says most in the shortest time: two tests in five, in less than a minute.
FAST := tests/unit tests/golden $(addprefix tests/integration/,ledger platform platform_sandbox)

.PHONY: help install install-dev demo test test-fast test-upgrade check lint types format docs docs-check lock sbom audit services bench clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 14

install: ## make .venv and install the pinned requirements (PYTHON=python3.12 picks the interpreter)
	@scripts/bootstrap

install-dev: ## the same with what tests and checks need
	@scripts/bootstrap --dev

demo: install ## a hospital's day from its HIS to the platform, embedded; DEMO_EXIT=1 leaves when done
	@exec $(VENV)/python scripts/demo.py $(ARGS)

test: install-dev ## all tests, fast ones first (ARGS="-k name" narrows them)
	@$(PYTEST) $(ARGS)

test-fast: install-dev ## the fast ones alone, in under a minute: units, the golden day, sandbox, platform client, ledger
	@$(PYTEST) $(FAST) $(ARGS)

test-upgrade: install-dev ## an installation of the last release survives the upgrade to this checkout (ten minutes)
	@$(VENV)/python -m pytest tests/upgrade $(ARGS)

check: lint types docs-check test ## what CI runs: format, lint, types, import contracts, docs, tests

lint: install-dev ## ruff format --check, ruff, bandit, import contracts
	@$(VENV)/ruff format --check --output-format concise . || { echo 'lint: make format mends it' >&2; exit 1; }
	@$(VENV)/ruff check --quiet .
	@$(VENV)/bandit --quiet --configfile pyproject.toml --recursive include plugins dags scripts
	@$(VENV)/lint-imports --no-logo

types: install-dev ## mypy --strict over everything but the tests
	@$(VENV)/mypy

format: install-dev ## ruff format, and the fixes ruff is sure of
	@$(VENV)/ruff check --quiet --fix-only .
	@$(VENV)/ruff format .

docs: install-dev ## write the generated parts of the documents again
	@$(VENV)/python scripts/docs.py

docs-check: install-dev ## generated parts current, links and commands of the documents exist
	@$(VENV)/python scripts/docs.py --check

lock: install-dev ## compile requirements*.in to pinned requirements*.txt (ARGS=--upgrade takes new versions)
	@$(VENV)/python scripts/lock.py $(ARGS)

sbom: install-dev ## dist/sbom.json: every package of requirements.txt with its hashes, as CycloneDX
	@mkdir -p dist
	@$(VENV)/cyclonedx-py requirements requirements.txt --pyproject pyproject.toml --output-reproducible \
	  --spec-version 1.6 --output-format JSON --output-file dist/sbom.json
	@echo 'sbom: dist/sbom.json'

audit: install-dev ## known vulnerabilities of the pinned packages; says so if the data could not be reached
	@$(VENV)/python scripts/audit.py

services: ## find or install the PostgreSQL server that the database tests start
	@scripts/services

bench: ## list the benchmarks and how to run them
	@for file in benchmarks/[a-z]*.py; do [[ -e $$file ]] || continue; \
	  printf '%s %s\n    %s\n' '$(VENV)/python' "$$file" "$$(sed -nE '1s/^"""(.*[^"])("*)$$/\1/p' "$$file")"; done

clean: ## remove the environment, caches and everything the demo made
	@rm -rf .venv var build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache include/*.egg-info
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
