#!/usr/bin/env bash
# An example is the first thing that a user tries: each must run to its end by itself.
set -euo pipefail
cd "$(dirname "$0")/.."

shopt -s nullglob
examples=(examples/*.rs examples/*/main.rs)
((${#examples[@]})) || { echo "no examples in examples/" >&2; exit 1; }

cargo build --all-features --examples
for example in "${examples[@]}"; do
    name=${example#examples/}
    name=${name%/main.rs}
    name=${name%.rs}
    args=()
    # It would draw on the terminal otherwise.
    [[ $name != switchboard ]] || args=(--json)
    echo "-- $name ${args[*]}"
    timeout 60 cargo run --quiet --all-features --example "$name" -- "${args[@]}" </dev/null
done
