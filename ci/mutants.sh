#!/usr/bin/env bash
# A model that cannot fail proves nothing: each loom-tests/mutants/<model>--<what>.patch plants one bug, and
# <model> must fail on it. Long, so it is not part of .ci/run: try a mutant when you write its model, and all
# of them when you change a protocol.
#
#   ci/mutants.sh [part of a patch's name]
set -euo pipefail
cd "$(dirname "$0")/.."

root=$PWD
shopt -s nullglob
patches=(loom-tests/mutants/*"${1:-}"*.patch)
((${#patches[@]})) || { echo "no such mutant: loom-tests/mutants/*${1:-}*.patch" >&2; exit 1; }

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
# One target folder for all mutants, so that the dependencies are built once; but not that of loom.sh: cargo
# takes two copies of a workspace for the same one, and would run what was built from a mutant there.
export CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-$root/target}/mutants"
# The copy must not take a repository above it for its own: git apply would skip the patch, and say nothing.
export GIT_CEILING_DIRECTORIES="$scratch"
tree=$scratch/tree
log=$scratch/log
mkdir "$tree"
# --touch: cargo goes by times, and must not take what the last mutant left for up to date.
git ls-files -z | tar --null --files-from=- --create --file=- \
    | tar --extract --touch --directory="$tree"

run_model() {
    local status=0
    (cd "$tree" && bash ci/loom.sh "$1") >"$log" 2>&1 || status=$?
    return "$status"
}

declare -A holds=() # the models that pass without a mutant
rows=()
failed=0
for patch in "${patches[@]}"; do
    name=$(basename "$patch" .patch)
    model=${name%%--*}
    start=$SECONDS
    if [[ -z ${holds[$model]:-} ]]; then
        holds[$model]=yes
        run_model "$model" || holds[$model]=no
    fi
    if [[ ${holds[$model]} == no ]]; then
        verdict="VOID: the model fails without it"
    elif ! git -C "$tree" apply "$root/$patch" 2>"$log"; then
        verdict="VOID: does not apply any more"
    else
        status=0
        run_model "$model" || status=$?
        why=$(grep -A1 -m1 'panicked at' "$log" | tail -n 1 | cut -c 1-70 || true)
        case $status in
            0) verdict="SURVIVED" ;;
            2) verdict="VOID: does not build" ;;
            124) verdict="VOID: time is up" ;;
            *) verdict="killed: ${why:-see its output}" ;;
        esac
        # Fewer executions than the floor is news of the search, not of the bug.
        if [[ $verdict == killed* && $why == *floor* ]]; then
            verdict="SURVIVED: below the floor only"
        fi
        git -C "$tree" apply --reverse "$root/$patch"
    fi
    if [[ $verdict != killed* ]]; then
        failed=$((failed + 1))
        tail -n 30 "$log" >&2
    fi
    rows+=("$(printf '%-44s %4s s  %s' "$name" "$((SECONDS - start))" "$verdict")")
    echo "${rows[-1]}"
done

printf '\nmutants:\n'
printf '%s\n' "${rows[@]}"
echo "${#patches[@]} mutants, $((${#patches[@]} - failed)) killed, $failed not"
((failed == 0))
