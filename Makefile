# `make demo` shows what the project does, `make test` proves it. Both work on a fresh machine with Python >= 3.11 and PyPI.

PYTHON ?= python3
VENV ?= .venv
WORKERS ?= 2
PYTEST_ARGS ?=

BIN := $(VENV)/bin
STAMP := $(VENV)/.stamp
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt
# What the static tools read: they do not follow the mapping of backends/ and calib/ into zsq_export.
INSTALLED := build/installed
SOURCES := $(shell find zsq_export backends calib -type f -not -path '*/__pycache__/*')

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help demo test unit lint format types imports check wheel smoke clean

help: ## list the commands
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/' | expand -t 10

demo: $(STAMP)-demo ## install, then convert EfficientNet-Lite0 without data and validate it
	$(BIN)/zsq-export demo --overwrite

# One thread per worker: two workers on two cores, each with two threads, would only fight.
test unit: export OMP_NUM_THREADS = 1
test unit: export MKL_NUM_THREADS = 1
test: $(STAMP)-test ## install, then run every test
	$(BIN)/pytest --numprocesses $(WORKERS) --dist loadscope $(PYTEST_ARGS)

unit: $(STAMP)-test ## the tests that need neither assets nor minutes
	$(BIN)/pytest --numprocesses $(WORKERS) --dist loadscope -m "not slow and not assets" $(PYTEST_ARGS)

lint: $(STAMP)-lint ## ruff: rules and formatting
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

format: $(STAMP)-lint ## let ruff mend what it can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

types: $(STAMP)-lint $(INSTALLED)/.stamp ## mypy --strict on an installed copy
	cd $(INSTALLED) && $(abspath $(BIN))/mypy --config-file $(abspath pyproject.toml) --package zsq_export

imports: $(STAMP)-lint $(INSTALLED)/.stamp ## import-linter: dependencies point one way
	cd $(INSTALLED) && $(abspath $(BIN))/lint-imports --config $(abspath pyproject.toml) --no-cache

check: lint types imports ## lint, types and imports

wheel: $(STAMP)-venv ## build dist/zsq_export-*.whl
	rm -rf dist build/lib build/bdist.*
	$(BIN)/python -m pip wheel --quiet --disable-pip-version-check --no-deps --wheel-dir dist .

smoke: wheel $(STAMP)-test ## try the wheel in a second, clean environment outside the checkout
	PYTHON=$(abspath $(BIN))/python tools/smoke_wheel.sh dist/zsq_export-*.whl

clean: ## remove everything that make made
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache

$(STAMP)-venv:
	$(PYTHON) -c 'import sys; sys.exit(None if sys.version_info >= (3, 11) else "zsq-export needs Python 3.11 or newer; set PYTHON=")'
	$(PYTHON) -m venv $(VENV)
	touch $@

$(STAMP)-demo: pyproject.toml constraints.txt $(STAMP)-venv
	$(INSTALL) --editable '.[all,demo]'
	touch $@

$(STAMP)-test: pyproject.toml constraints.txt $(STAMP)-venv
	$(INSTALL) --editable '.[all,test]'
	touch $@ $(STAMP)-demo

# The tools read the types of what the tests install.
$(STAMP)-lint: pyproject.toml constraints.txt $(STAMP)-test
	$(INSTALL) --editable '.[lint]'
	touch $@

$(INSTALLED)/.stamp: pyproject.toml $(SOURCES) $(STAMP)-venv
	rm -rf $(INSTALLED) build/lib build/bdist.*
	$(INSTALL) --no-deps --target $(INSTALLED) .
	touch $@
