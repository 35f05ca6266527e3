#!/usr/bin/env bash
# Installs uv into .tools/, for machines that do not have it.
set -euo pipefail
cd "$(dirname "$0")/.."
if ! command -v python3 >/dev/null; then
    echo "Python 3.11 or newer is needed: install the package python3." >&2
    exit 1
fi
if ! python3 -m venv .tools 2>/dev/null; then
    echo "Python's venv module is needed: install the package python3-venv." >&2
    exit 1
fi
.tools/bin/python -m pip install --quiet --disable-pip-version-check uv
