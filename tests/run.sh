#!/usr/bin/env bash
# Installs what is missing and runs the tests: unit, then end-to-end on real servers.
#
#   tests/run.sh          all but `attacks`, `ticks`, `builds` and `connect`; 4 minutes on two idle
#                         cores after tests/demo.sh
#   tests/run.sh NAME     those with NAME in their path, for example `drain::topic`
#   tests/run.sh attacks  those that take servers away in every way, send bombs, or have 100,000 sites
#   tests/run.sh ticks    those that wait for minutes of the real clock, as cron's daemon does
#   tests/run.sh builds   those that compile everything anew, as people who install it do
#   tests/run.sh connect  the recipes of k8s/connect, for which it fetches what nothing else needs
#   tests/run.sh connect::indexed   the one of them that takes Aiven's sink for OpenSearch, whose
#                         directory SITEWATCH_OPENSEARCH_CONNECTOR names
#   tests/run.sh control-plane   what tests/control-plane.sh says of k8s/; neither Rust nor servers of ours
set -euo pipefail
cd "$(dirname "$0")/.."
budget=240
attacks=(
    drain::chaos drain::hostile kafka::lifetime kafka::producing kafka::reading kafka::unreadable
    probe::hostile report::many
)

case ${1:-} in
control-plane) exec ./tests/control-plane.sh ;;
builds | connect) ./tests/install.sh "$1" ;;
*) ./tests/install.sh ;;
esac

# Most tests wait for a server or a deadline most of the time: with a thread a core, the cores idle.
export RUST_TEST_THREADS=${RUST_TEST_THREADS:-$((4 * $(nproc)))}

# Always the whole workspace: features of another selection would compile half the dependencies again.
if [ "${1:-}" = builds ]; then
    exec cargo test --workspace --locked --test e2e -- deploy::builds
fi

# The executables first: the end-to-end tests run them.
cargo build --workspace --bins --locked
status=0
whole=
if [ $# -eq 0 ]; then
    whole=1
    set -- -- "${attacks[@]/#/--skip=}" --skip deploy::builds --skip deploy::cron::ticks --skip deploy::connect::
elif [ "$1" = attacks ]; then
    set -- --test e2e -- "${attacks[@]}"
elif [ "$1" = connect ]; then
    set -- --test e2e -- deploy::connect:: --skip deploy::connect::indexed
elif ! cargo test --workspace --locked --quiet "$@" -- --list | grep ': test$' >/dev/null; then
    echo "tests/run.sh: no test has $* in its path" >&2
    exit 1
fi
cargo test --workspace --locked --no-fail-fast "$@" || status=$?
if [ -n "$whole" ]; then
    printf '\nTook %d s; the budget is %d s on two idle cores, when tests/demo.sh ran before.\n' \
        "$SECONDS" "$budget"
fi
exit "$status"
