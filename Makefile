# The commands of this project. `make setup` leaves a working .venv; the others call it.
PYTHON ?= python3
BIN := .venv/bin
PIP = $(BIN)/python -m pip install --quiet --disable-pip-version-check

.PHONY: setup demo test lab labextension check bench drill lock clean
.DEFAULT_GOAL := setup

setup: .venv/ready

# Everything from the lock file, each package by its hash; then SBF itself.
# uv does in 20 seconds what takes pip minutes; where uv cannot reach the index, pip does it.
.venv/ready: requirements.lock pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit("SBF needs Python 3.11 or newer: make PYTHON=…" if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv .venv
	$(PIP) --upgrade uv==0.13.9
	$(BIN)/uv pip sync --system-certs --quiet --python $(BIN)/python --require-hashes requirements.lock \
	  || $(PIP) --require-hashes --requirement requirements.lock
	$(PIP) --no-deps --no-build-isolation --editable .
	touch $@

demo: setup
	$(BIN)/sbf demo

test: setup
	sh tests/run.sh

lab: setup
	$(BIN)/jupyter lab --ServerApp.root_dir=notebooks

# The JupyterLab extension out of its TypeScript; needs node 20. The bundle is committed: installing needs none.
labextension: setup
	cd extensions/lab && PATH="$(CURDIR)/$(BIN):$$PATH" && jlpm install --immutable && jlpm build
	$(BIN)/python extensions/lab/fingerprint.py > sbf_kernel/labextension/sources.sha256
	$(PIP) --no-deps --no-build-isolation --editable .

check: setup
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m pytest -q tests/architecture --no-cov

bench: setup
	$(BIN)/python -m benchmarks

drill: setup
	$(BIN)/python -m benchmarks.drills

# Resolve the newest allowed versions again, for every platform.
lock:
	$(BIN)/uv pip compile --universal --generate-hashes --no-emit-index-url --no-annotate --no-header --python-version 3.11 \
	  --all-extras pyproject.toml requirements-build.in --output-file requirements.lock --upgrade

clean:
	rm -rf .venv build dist .coverage* .pytest_cache .mypy_cache .ruff_cache .hypothesis
