# The two commands of the README, and what they are made of. Needs python3 and pip alone.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
# Wheels kept on disk are found by uv as they are by pip.
export UV_FIND_LINKS ?= $(PIP_FIND_LINKS)

.PHONY: run test test-slow lint docs install install-test clean

run: install
	$(BIN)/python -m benchmarks.fidelity

test: install-test
	$(BIN)/python -m pytest -m "not slow" -n auto --dist worksteal

test-slow: install-test
	$(BIN)/python -m pytest -m slow -n auto --dist worksteal --timeout 1500

lint: install-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	if [ -x $(BIN)/hadolint ]; then $(BIN)/hadolint Dockerfile; fi

docs: $(VENV)/.docs
	$(BIN)/python -m benchmarks.report.site

install: $(VENV)/.run
install-test: $(VENV)/.test

$(BIN)/uv:
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet uv

$(VENV)/.run: setup.cfg constraints.txt | $(BIN)/uv
	$(BIN)/uv pip install --python $(BIN)/python --quiet -c constraints.txt -e ".[ingest,offline,rl]"
	touch $@

$(VENV)/.test: setup.cfg constraints.txt | $(BIN)/uv
	$(BIN)/uv pip install --python $(BIN)/python --quiet -c constraints.txt -e ".[test]"
	touch $@ $(VENV)/.run

$(VENV)/.docs: setup.cfg constraints.txt | $(BIN)/uv
	$(BIN)/uv pip install --python $(BIN)/python --quiet -c constraints.txt -e ".[docs]"
	touch $@

clean:
	rm -rf $(VENV) build site *.egg-info
