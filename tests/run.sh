#!/usr/bin/env bash
# Installs what is missing and runs every test: unit, then end-to-end on real servers.
set -euo pipefail
cd "$(dirname "$0")/.."

./tests/install.sh

# The executables first: the end-to-end tests run them.
cargo build --workspace --bins --locked
cargo test --workspace --locked --no-fail-fast "$@"
