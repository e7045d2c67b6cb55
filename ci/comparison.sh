#!/usr/bin/env bash
# What everybody is best at depends on the allocator, so the comparison is run with two of them. Arguments go to both
# runs; results and pictures go to target/comparison. With the system's allocator all is measured, with mimalloc what
# allocates. `ci/comparison.sh --quick` takes about three minutes after the build, without it half an hour.
set -euo pipefail
cd "$(dirname "$0")/.."

out=target/comparison
mkdir -p "$out"
# Both are built first: a compiler beside it would be measured too. The second build would overwrite the first.
cargo build --release --package comparison
cp target/release/comparison "$out/comparison-system"
cargo build --release --package comparison --features mimalloc
cp target/release/comparison "$out/comparison-mimalloc"

for allocator in system mimalloc; do
    echo "-- $allocator"
    "$out/comparison-$allocator" --json "$out/$allocator.json" --plots "$out/$allocator" "$@"
done
