#!/usr/bin/env bash
# Docs are part of the interface: a dead link or a broken tag is an error. (Their examples run in test.sh.)
set -euo pipefail
cd "$(dirname "$0")/.."

RUSTDOCFLAGS="-D warnings" cargo doc --no-deps --all-features
