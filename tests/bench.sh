#!/usr/bin/env bash
# Benchmarks, on servers started for them:
#   tests/bench.sh drain [events] [rounds]
#   tests/bench.sh probe [rounds] [kafka] [one|thousand|at-once|patterns|slow|tls|tls-1.2|tls-many|silent|many]…
#   tests/bench.sh honesty [rounds] [at-once|slow|tls]… [idle|busy|throttled]…
#   tests/bench.sh report [rounds] [sites] [locations]
#   tests/bench.sh notify [rounds]
set -euo pipefail
here="$(cd "$(dirname "$0")/.." && pwd)"
which="${1:?usage: tests/bench.sh drain|probe|honesty|report|notify …}"
shift

"$here/tests/install.sh" demo
cargo build --manifest-path "$here/Cargo.toml" --workspace --bins --profile dist --locked
target="${CARGO_TARGET_DIR:-$here/target}"
exec "$target/dist/bench_$which" "$@"
