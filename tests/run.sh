#!/bin/sh
# Runs all tests as CI does: everything from one command, with coverage.
set -eu
cd "$(dirname "$0")/.."
# What no Python package brings: a browser, curl, and network namespaces. Without the right to install, tests that
# need them say so and are skipped.
for need in chromium:chromium curl:curl ip:iproute2; do
  command -v "${need%%:*}" > /dev/null || missing="${missing:-} ${need#*:}"
done
if [ -n "${missing:-}" ] && [ "$(id -u)" = 0 ] && command -v apt-get > /dev/null; then
  apt-get -qq update && DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends $missing fonts-dejavu-core
fi
.venv/bin/coverage erase
.venv/bin/python -m pytest tests --cov --cov-report=term:skip-covered "$@"
SBF_STATIC=1 .venv/bin/python -m pytest --nbval --nbval-current-env notebooks/*.ipynb
