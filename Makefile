# Two commands do everything: `make run` and `make test`. Neither needs root.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed

.PHONY: help setup run test lint format controlplane clean
help:
	@echo "make run           serve with the embedded default: no cluster, loopback, self-signed certificate"
	@echo "make test          pass every test, on a real control plane (built once, about ten minutes)"
	@echo "make lint          ruff, mypy and the import contracts"
	@echo "make format        let ruff format and mend what it can"
	@echo "make controlplane  start a real Kubernetes control plane in .controlplane/ until Ctrl-C"
	@echo "make clean         remove what was made in this folder"

setup: $(INSTALLED)

$(INSTALLED): setup.cfg pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed; name one with make PYTHON=python3.12")'
	@$(PYTHON) -c 'import ensurepip, venv' || { echo "$(PYTHON) has no venv module: apt-get install python3-venv"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt setuptools
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --no-build-isolation --editable '.[test,lint]'
	@touch $@

run: setup
	@exec $(BIN)/gunicorn wsgi:app

test: setup
	$(BIN)/pytest

lint: setup
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports

format: setup
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

controlplane: setup
	@exec $(BIN)/python -m tests.controlplane

clean:
	rm -rf $(VENV) .controlplane apiserver.local.config build dist *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache
