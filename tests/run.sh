#!/bin/sh
# Runs all tests as CI does: everything from one command, with coverage.
set -eu
cd "$(dirname "$0")/.."
.venv/bin/coverage erase
.venv/bin/python -m pytest tests --cov --cov-report=term:skip-covered "$@"
SBF_STATIC=1 .venv/bin/python -m pytest --nbval --nbval-current-env notebooks/00_quickstart.ipynb
