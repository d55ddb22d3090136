#!/usr/bin/env bash
# Shows Sitewatch at work: real servers, real websites, each function run as a person would.
# `--keep` leaves the servers up until Ctrl-C. SITES="https://example.org …" checks those instead.
set -euo pipefail
here="$(cd "$(dirname "$0")/.." && pwd)"

"$here/tests/install.sh" demo
cargo build --manifest-path "$here/Cargo.toml" --workspace --bins --locked
target="${CARGO_TARGET_DIR:-$here/target}"
exec "$target/debug/demo" "$@"
