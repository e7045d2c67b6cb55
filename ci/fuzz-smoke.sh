#!/usr/bin/env bash
# A few thousand inputs for each fuzz target: enough to see that the targets build and still agree with their
# models, not enough to find much. fuzz/README.md says how to run them for longer.
#
#   FUZZ_RUNS=20000 FUZZ_SECONDS=20 ci/fuzz-smoke.sh [target ...]
set -euo pipefail
cd "$(dirname "$0")/.."

# No sanitizer is needed for this, so no nightly either; libFuzzer itself wants a C++ compiler.
export RUSTUP_TOOLCHAIN="${RUSTUP_TOOLCHAIN:-stable}"
cargo fuzz --version >/dev/null 2>&1 || cargo install cargo-fuzz --version 0.13.2 --locked

list=$(cargo fuzz list)
mapfile -t targets < <(if (($#)); then printf '%s\n' "$@"; else echo "$list"; fi)
[[ -n ${targets[0]} ]] || { echo "no fuzz targets in fuzz/Cargo.toml" >&2; exit 1; }

# What is found on the way goes into a folder of its own: each run begins with the seeds alone.
found=$(mktemp -d)
trap 'rm -rf "$found"' EXIT

cargo fuzz build -s none # all of them at once
for target in "${targets[@]}"; do
    echo "-- $target"
    mkdir "$found/$target"
    seeds=()
    [[ -d fuzz/seeds/$target ]] && seeds=("fuzz/seeds/$target")
    # Whatever ends first. A fixed seed, so that a failure comes again.
    cargo fuzz run -s none "$target" "$found/$target" "${seeds[@]}" -- -seed=1 -runs="${FUZZ_RUNS:-20000}" \
        -max_total_time="${FUZZ_SECONDS:-20}" -max_len=800 -timeout=30 -print_final_stats=1 -verbosity=0
done
