# Two commands do everything: `make run` and `make test`. Neither needs root.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
RUNS := $(VENV)/.runs
INSTALLED := $(VENV)/.installed
PIP := $(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt
# What starts real servers is one group, and runs in its order beside all else (tests/conftest.py).
SIDE_BY_SIDE := --numprocesses=auto --maxprocesses=4 --dist=loadscope

.PHONY: help setup run test test-fast test-python docs lint format audit controlplane bench bench-smoke clean
help:
	@echo "make run           serve with the embedded default: no cluster, loopback, self-signed certificate; PORT=8443"
	@echo "make test          pass every test, on real control planes (built once, about ten minutes each)"
	@echo "make test-fast     the tests that need nothing but this process, in about a minute"
	@echo "make test-python   run the tests without the control plane with the newest Python found"
	@echo "make docs          write docs/configuration.md from the settings and the providers' options"
	@echo "make lint          ruff, mypy and the import contracts"
	@echo "make format        let ruff format and mend what it can"
	@echo "make audit         ask the package registry for known vulnerabilities of the pinned versions"
	@echo "make controlplane  start a real Kubernetes control plane in .controlplane/ until Ctrl-C"
	@echo "make bench         measure beside the Go reference, five minutes; make bench-smoke takes one"
	@echo "make clean         remove what was made in this folder"

setup: $(INSTALLED)

# The server alone, which is all that `make run` needs.
$(RUNS): setup.cfg pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed; name one with make PYTHON=python3.12")'
	@$(PYTHON) -c 'import ensurepip, venv' || { echo "$(PYTHON) has no venv module: apt-get install python3-venv"; exit 1; }
	@echo "Installing the server and what it needs into $(VENV), in the versions of constraints.txt"
	@$(PYTHON) -m venv $(VENV)
	@$(PIP) setuptools
	@rm -rf *.egg-info # an old one, found first in this folder, would hide new entry points
	@$(PIP) --no-build-isolation --editable .
	@touch $@

$(INSTALLED): $(RUNS)
	@echo "Installing what the tests and the linters need into $(VENV)"
	@$(PIP) --no-build-isolation --editable '.[test,lint]'
	@touch $@

run: $(RUNS)
	@exec env $(if $(PORT),METRICS_APISERVER_SECURE_PORT=$(PORT)) $(BIN)/gunicorn wsgi:app

test: setup
	$(BIN)/pytest $(SIDE_BY_SIDE)

test-fast: setup
	$(BIN)/pytest $(SIDE_BY_SIDE) --timeout=5 -m "not controlplane and not live and not slow"

# Every test but those of the control plane and of the packaging, with the newest Python of this machine.
test-python: setup
	$(MAKE) VENV=.venv-newest PYTHON="$$($(BIN)/python -m tests.packaging.interpreters)" setup
	.venv-newest/bin/pytest --ignore=tests/controlplane --ignore=tests/k8s --ignore=tests/packaging

docs: setup
	$(BIN)/python -m tests.configuration_page

lint: setup
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports

format: setup
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

audit: setup
	$(BIN)/pip-audit --strict --disable-pip --no-deps --requirement constraints.txt

controlplane: setup
	@exec $(BIN)/python -m tests.controlplane

bench: setup
	@exec $(BIN)/python -m benchmarks

bench-smoke: setup
	@exec $(BIN)/python -m benchmarks --smoke

clean:
	rm -rf $(VENV) .venv-newest .controlplane apiserver.local.config build dist *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache
