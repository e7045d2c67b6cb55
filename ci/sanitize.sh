#!/usr/bin/env bash
# What safe code around a few unsafe files can still get wrong: memory that is used after it was freed, that is
# never freed, and races that the models do not see (inside crossbeam and triomphe). Long, so it is not part
# of .ci/run.
#
#   ci/sanitize.sh [address | leak | thread]
set -euo pipefail
cd "$(dirname "$0")/.."

# The runtimes of the sanitizers ship with stable; only the flag is unstable.
export RUSTUP_TOOLCHAIN="${RUSTUP_TOOLCHAIN:-stable}"
export RUSTC_BOOTSTRAP=1
target=$(rustc -vV | sed -n 's/^host: //p')
target_dir=${CARGO_TARGET_DIR:-$PWD/target}

# Without --target the flags would reach build scripts and macros too.
with_sanitizer() {
    local sanitizer=$1 flags=$2
    shift 2
    echo "-- $sanitizer"
    RUSTFLAGS="-Zsanitizer=$sanitizer $flags" CARGO_TARGET_DIR="$target_dir/sanitize-$sanitizer" \
        cargo test --package stasis-bus --all-features --target "$target" "$@"
}

(($#)) || set -- address leak thread
for sanitizer; do
    case $sanitizer in
        # `fuzzing`: memory of messages is not kept for the next ones, which would hide who uses it too late. In
        # the library it changes nothing else.
        address | leak) with_sanitizer "$sanitizer" "--cfg fuzzing" --tests ;;
        # It does not know std's own code, which is not built with it: std's fences, and its locks where threads
        # meet at them, make it report what is not there. So it gets one test without libtest, whose threads
        # poll and are joined, and a list of what is left. Memory of messages is kept there: it goes from
        # thread to thread as in earnest.
        thread)
            TSAN_OPTIONS="suppressions=$PWD/ci/tsan.supp halt_on_error=1" \
                with_sanitizer thread "-Cunsafe-allow-abi-mismatch=sanitizer" --test races
            ;;
        *) echo "no such sanitizer: $sanitizer" >&2; exit 1 ;;
    esac
done
