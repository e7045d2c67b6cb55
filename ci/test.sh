#!/usr/bin/env bash
# The behaviour that the guarantees promise, the doctests and the house rules: the README's test command.
set -euo pipefail
cd "$(dirname "$0")/.."

cargo test --workspace --all-features "$@"
