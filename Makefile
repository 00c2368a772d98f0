# Amanat. The two commands that matter: `make demo` and `make test`. Everything else is listed by `make help`.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
PYTHON ?= python3
STACK ?= embedded
VENV := .venv
BIN := $(VENV)/bin
PACKAGES := shared deploy/local services/intake services/police-link services/forensics services/legal-aid
MANIFESTS := $(PACKAGES:%=%/pyproject.toml)
CODE := shared deploy services tests bench examples
export AMANAT_STACK := $(STACK)
export AMANAT_FULL := $(FULL)
export PYTHONDONTWRITEBYTECODE :=

.PHONY: help demo test check lint types imports contracts bench attacks faults up down pins clean

help: ## what can be made
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 12

demo: $(VENV)/.ready ## play the story on a stack of its own; ONCE=1 stops after it; STACK=real on Kafka and Keycloak
	$(BIN)/python -m amanat_local.demo --stack $(STACK) $(if $(ONCE),--once)

test: $(VENV)/.tested ## every test; STACK=real on Kafka and Keycloak too; FULL=1 the long forms
	$(BIN)/python -m pytest $(ARGS)

check: lint types imports ## lint, types, import contracts

lint: $(VENV)/.tested ## ruff
	$(BIN)/ruff check $(CODE)
	$(BIN)/ruff format --check $(CODE)

types: $(VENV)/.tested ## mypy, strict
	$(BIN)/mypy $(PACKAGES:%=%/src) bench examples

imports: $(VENV)/.tested ## who may import whom
	$(BIN)/lint-imports --no-cache

contracts: $(VENV)/.tested ## write the JSON schemas and the AsyncAPI document of the events
	$(BIN)/python -m amanat.contracts.export

bench: $(VENV)/.tested ## measure on the real stack; the figures go to bench/
	$(BIN)/python -m bench.run
	$(BIN)/python -m bench.ledger
	$(BIN)/python -m bench.my_case
	$(BIN)/python -m bench.bundle

attacks: $(VENV)/.tested ## attack the platform on the real stack, and count; the table goes to bench/
	$(BIN)/python -m bench.suite attacks

faults: $(VENV)/.tested ## break what it stands on, on the real stack, and count; the table goes to bench/
	$(BIN)/python -m bench.suite faults

up: $(VENV)/.ready ## start a stack and stay
	$(BIN)/amanat stack up --stack $(STACK)

down: $(VENV)/.ready ## stop a stack that runs
	$(BIN)/amanat stack down

# The environment. requirements/*.txt are pins with hashes, exported from requirements/*.in by `make pins`.
$(VENV)/.python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null \
	  || { echo "Amanat needs Python 3.11 or newer as '$(PYTHON)'; name another with: make PYTHON=python3.12 …" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null \
	  || { echo "This Python cannot make virtual environments; on Debian: apt-get install python3-venv" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	@touch $@

$(VENV)/.ready: $(VENV)/.python requirements/runtime.txt $(MANIFESTS)
	@echo "Installing what the platform runs on (once; a minute or so) …"
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/runtime.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation $(PACKAGES:%=-e ./%)
	@touch $@

$(VENV)/.tested: $(VENV)/.ready requirements/dev.txt
	@echo "Installing what the tests need (once) …"
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/dev.txt
	@touch $@

pins: ## export the pins anew from requirements/*.in (needs uv)
	for set in runtime dev; do \
	  uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate \
	    --no-emit-index-url --no-emit-find-links requirements/$$set.in -o requirements/$$set.txt; \
	done

clean: ## remove the environment and every local stack's data
	rm -rf $(VENV) .amanat
