#!/usr/bin/env bash
# The models: all interleavings of the crate's own protocols, up to LOOM_MAX_PREEMPTIONS. No test on a real
# machine tries them.
#
#   ci/loom.sh [model]      model: the name of a file under loom-tests/tests/
#
# Ends with 0 if all hold, 1 if one fails, 2 if they do not build or there are none, 124 if the time is up,
# which proves nothing and so is a failure. loom-tests/README.md says how to read the output.
set -euo pipefail
cd "$(dirname "$0")/.."

# These two would end a run early, and call it a pass.
unset LOOM_MAX_DURATION LOOM_MAX_PERMUTATIONS
export LOOM_MAX_PREEMPTIONS="${LOOM_MAX_PREEMPTIONS:-2}"
export LOOM_MAX_BRANCHES="${LOOM_MAX_BRANCHES:-10000}"
# crossbeam-epoch has a loom build under a cfg of its own; without it the models would not see its atomics.
# crossbeam_sanitize makes its bags short, so that it frees something before a model ends.
export RUSTFLAGS="--cfg loom --cfg crossbeam_loom --cfg crossbeam_sanitize"
export CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-$PWD/target}/loom"

cargo_args=(test --package loom-tests --release)
if (($#)); then
    cargo_args+=(--test "$1")
else
    compgen -G 'loom-tests/tests/*.rs' >/dev/null || { echo "no models in loom-tests/tests" >&2; exit 2; }
    cargo_args+=(--tests)
fi
cargo "${cargo_args[@]}" --no-run || exit 2

output=$(mktemp)
trap 'rm -f "$output"' EXIT
start=$SECONDS
status=0
# Go on after the first failure: what else fails says where to look.
timeout "${LOOM_TIMEOUT:-780}" cargo "${cargo_args[@]}" --no-fail-fast -- --nocapture 2>&1 \
    | tee "$output" || status=${PIPESTATUS[0]}

read -r models executions < <(awk '
    !/below/ && match($0, /[0-9]+ executions/) { models++; sum += substr($0, RSTART, RLENGTH) }
    END { print models + 0, sum + 0 }' "$output")
printf 'loom: %s models, %s executions, %s s at %s preemptions\n' \
    "$models" "$executions" "$((SECONDS - start))" "$LOOM_MAX_PREEMPTIONS"
if ((status == 124)); then
    echo "loom: time is up, so nothing is proved" >&2
    exit 124
elif ((status != 0)); then
    exit 1
elif ((models == 0)); then
    echo "loom: no model said how many executions it took" >&2
    exit 2
fi
