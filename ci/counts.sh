#!/usr/bin/env bash
# Speed that no clock is needed for: instructions, atomic read-modify-writes, allocations and system calls of each
# operation, against benches/counts.txt. `--renew` writes that file anew, `--only TEXT` looks at some of it.
set -euo pipefail
cd "$(dirname "$0")/.."

# Program and package.
tools=(valgrind:valgrind objdump:binutils strace:strace)
missing=()
for tool in "${tools[@]}"; do
    command -v "${tool%:*}" >/dev/null || missing+=("${tool#*:}")
done
if ((${#missing[@]})); then
    install() { apt-get install --yes --no-install-recommends "${missing[@]}" >/dev/null; }
    install || { apt-get update >/dev/null && install; } || {
        echo "install these first, nothing is counted without them: ${missing[*]}" >&2
        exit 1
    }
fi

cargo bench --all-features --bench counts -- "$@"
