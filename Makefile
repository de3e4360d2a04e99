# Two commands to know: `make demo` looks inside a model, `make test` runs all tests.
# Both, and all the others, share one environment, installed from the same constraints.

PYTHON ?= python3
VENV ?= .venv
PYTEST_ARGS ?= -n auto --maxprocesses 8

BIN := $(VENV)/bin
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt
# A stamp is newer than these for as long as its environment is up to date.
PINS := pyproject.toml constraints.txt

.DEFAULT_GOAL := help
.PHONY: help demo test lint format docs bench grades proofs coverage-models constraints clean

help:  ## show this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  make \1\t\2/' | expand -t 24

demo: $(VENV)/core.stamp  ## ask a trained model why it sees a cat and not a dog: writes report.html
	$(BIN)/vitreous explain --out report.html

# Bad input, torch.compile and the command line run without the shape checker, or its messages
# and wrappers would stand before ours: a pytest run of their own.
test: export OMP_NUM_THREADS ?= 1
test: $(VENV)/test.stamp  ## run all tests
	$(BIN)/python -m pytest $(PYTEST_ARGS)
	$(BIN)/python -m pytest $(PYTEST_ARGS) --jaxtyping-packages= tests/unchecked

lint: $(VENV)/lint.stamp  ## style, types and the direction of imports
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/basedpyright
	$(BIN)/lint-imports

format: $(VENV)/lint.stamp  ## mend what ruff can mend
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: $(VENV)/docs.stamp  ## build the documentation, running its tutorials: docs/_build/html/index.html
	$(BIN)/python -m sphinx --fresh-env --fail-on-warning --keep-going --quiet docs docs/_build/html
	@echo "docs/_build/html/index.html"

# Each of these measures one thing, writes one file, and runs alone as well.
bench: $(VENV)/test.stamp  ## how long everything takes: speed, methods, sweeps, pages, pictures: benchmarks/results
	$(BIN)/python -m benchmarks.reader
	$(BIN)/python -m benchmarks.speed
	$(BIN)/python -m benchmarks.methods
	$(BIN)/python -m benchmarks.circuits
	$(BIN)/python -m benchmarks.edge_sets
	$(BIN)/python -m benchmarks.patching
	$(BIN)/python -m benchmarks.views

grades: $(VENV)/test.stamp  ## how good models and methods are on the terrarium: benchmarks/results
	$(BIN)/python -m benchmarks.terrarium
	$(BIN)/python -m benchmarks.when_known
	$(BIN)/python -m benchmarks.lenses
	$(BIN)/python -m benchmarks.heads
	$(BIN)/python -m benchmarks.zero_shot_segmentation
	$(BIN)/python -m benchmarks.spurious
	$(BIN)/python -m benchmarks.corruptions
	$(BIN)/python -m benchmarks.switches

proofs: $(VENV)/test.stamp  ## the proofs too long for `make test`: benchmarks/results/proofs.json
	$(BIN)/python -m benchmarks.proofs

coverage-models: $(VENV)/test.stamp  ## build and compare every architecture there is: the registry, benchmarks/results/coverage.json
	$(BIN)/python -m benchmarks.coverage

# With the oldest Python that is supported: newer ones take its versions, but not the reverse.
constraints: | $(BIN)/python  ## resolve what `make` installs anew, within the bounds of pyproject.toml
	$(BIN)/python -m pip install --quiet --dry-run --ignore-installed --report $(VENV)/resolved.json \
	    --editable '.[test,lint,docs]'
	$(BIN)/python -c 'import json, sys; \
	    found = {i["metadata"]["name"]: i["metadata"]["version"] for i in json.load(sys.stdin)["install"]}; \
	    found.pop("vitreous"); \
	    print(*(f"{n}=={found[n]}" for n in sorted(found, key=str.lower)), sep="\n")' \
	    < $(VENV)/resolved.json > constraints.txt.new
	mv constraints.txt.new constraints.txt

clean:  ## remove all that `make` made
	rm -rf $(VENV) docs/_build docs/models report.html

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	    { echo "Python must be 3.11 or newer; got $$($(PYTHON) --version 2>&1). Name another: make PYTHON=python3.12 ..." >&2; exit 2; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/core.stamp: $(PINS) | $(BIN)/python
	$(INSTALL) --editable .
	@touch $@

$(VENV)/%.stamp: $(VENV)/core.stamp
	$(INSTALL) --editable '.[$*]'
	@touch $@
