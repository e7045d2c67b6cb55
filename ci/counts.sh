#!/usr/bin/env bash
# Speed that no clock is needed for: allocations, wake-ups and system calls, instructions and atomic
# read-modify-writes a call, against benches/counts.txt. `ci/counts.sh --update` writes that file anew.
set -euo pipefail
cd "$(dirname "$0")/.."

missing=()
for tool in valgrind strace objdump; do
    command -v "$tool" >/dev/null || missing+=("${tool/objdump/binutils}")
done
if ((${#missing[@]})); then
    apt-get install --yes "${missing[@]}" >/dev/null || {
        apt-get update >/dev/null
        apt-get install --yes "${missing[@]}" >/dev/null
    }
fi

cargo bench --bench counts -- --callgrind "$@"
