#!/usr/bin/env bash
# Writes the two pinned, hashed requirements locks from pyproject.toml (needs uv: pip install uv).
# No address of a package index goes into them.
set -euo pipefail
cd "$(dirname "$0")/.."
compile() {
  uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
    --no-emit-index-url --no-header "$@"
}
compile pyproject.toml -o requirements.lock
compile --extra test -c requirements.lock pyproject.toml -o requirements-test.lock
