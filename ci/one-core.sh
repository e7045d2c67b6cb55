#!/usr/bin/env bash
# On one core nothing runs at the same time: a spin without a yield, or a wake-up that is lost because the
# sleeper "is about to look anyway", hangs here and nowhere else. It runs with all features, which the plain
# test command leaves off.
set -euo pipefail
cd "$(dirname "$0")/.."

cargo test --workspace --all-features --tests --no-run
# The first core that this process may use; not everywhere is that 0.
core=$(sed -n 's/^Cpus_allowed_list:[[:space:]]*\([0-9]*\).*/\1/p' /proc/self/status)
echo "-- on core $core only"
taskset -c "$core" cargo test --workspace --all-features --tests "$@"
