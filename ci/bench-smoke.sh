#!/usr/bin/env bash
# Benches rot between two measurements: each is built and runs every case once, without measuring. What an
# idle topic and subscription weigh is counted, not timed, so it is told for real. The counts have a script of their own.
set -euo pipefail
cd "$(dirname "$0")/.."

shopt -s nullglob
benches=(benches/*.rs)
((${#benches[@]})) || { echo "no benches in benches/" >&2; exit 1; }

for bench in "${benches[@]}"; do
    name=$(basename "$bench" .rs)
    echo "-- $name"
    case $name in
        footprint) cargo bench --all-features --bench "$name" ;;
        *) cargo bench --all-features --bench "$name" -- --test ;;
    esac
done
