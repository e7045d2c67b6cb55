#!/usr/bin/env bash
# Cargo adds up the features of a workspace, so only this sees a module that needs another one's feature.
set -euo pipefail
cd "$(dirname "$0")/.."

mapfile -t features < <(sed -n '/^\[features\]/,/^\[/s/^\([a-z][a-z0-9_-]*\) *=.*/\1/p' Cargo.toml)
((${#features[@]})) || { echo "no features found in Cargo.toml" >&2; exit 1; }

check() {
    echo "-- features: ${1:-none}"
    cargo clippy --package stasis-bus --lib --no-default-features --features "$1" -- -D warnings
}
check ""
for feature in "${features[@]}"; do
    check "$feature"
done
