#!/usr/bin/env bash
# Some schedules come once in a thousand runs. The tests again and again, optimised, the long ones among them,
# on all cores, on one, and with more threads than cores. Long, so it is not part of .ci/run.
#
#   STRESS_ROUNDS=50 ci/stress.sh [part of a test's name]
set -euo pipefail
cd "$(dirname "$0")/.."

rounds=${STRESS_ROUNDS:-50}
args=(test --workspace --all-features --release --tests)
core=$(sed -n 's/^Cpus_allowed_list:[[:space:]]*\([0-9]*\).*/\1/p' /proc/self/status)

cargo "${args[@]}" --no-run
for ((round = 1; round <= rounds; round++)); do
    echo "-- round $round of $rounds"
    case $((round % 3)) in
        0) run=(taskset -c "$core") threads=4 ;;
        1) run=() threads=$(nproc) ;;
        2) run=() threads=$((4 * $(nproc))) ;;
    esac
    timeout 1800 "${run[@]}" cargo "${args[@]}" -- --include-ignored --test-threads="$threads" "$@"
done
