#!/usr/bin/env bash
# A reader must not trip over form, and what the compiler or clippy can find nobody should have to look for.
set -euo pipefail
cd "$(dirname "$0")/.."

# A lock file that does not fit would be changed on the quiet.
cargo tree --locked >/dev/null
cargo tree --locked --manifest-path fuzz/Cargo.toml >/dev/null
cargo fmt --all --check
cargo fmt --manifest-path fuzz/Cargo.toml --check
cargo clippy --workspace --all-targets --all-features -- -D warnings
