# `make demo` searches real pictures; `make test` checks everything. Each sets up what it needs.
PYTHON ?= python3
# The build of torch to install; the registry's newest may bring gigabytes of CUDA.
TORCH ?= torch==2.13.0
VENV := .venv
BIN := $(VENV)/bin
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: demo test check format slow

demo: $(VENV)/.installed
	$(BIN)/ponder demo

test: check
	$(BIN)/ponder pull nano
	$(BIN)/python -m pytest

check: $(VENV)/.installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

slow: $(VENV)/.installed
	$(BIN)/ponder pull nano
	$(BIN)/python -m pytest -m "slow or net"

format: $(VENV)/.installed
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

$(VENV)/.installed: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --constraint constraints.txt $(TORCH)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $@
