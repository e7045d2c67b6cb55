#!/usr/bin/env bash
# To be sourced, not run: how the switchboard is started and stopped, how SIPp plays a scenario against it,
# and how SIPp's own statistics become the manifest that the switchboard's books are compared with.
#
# Sets nothing up but functions; `work` must be a directory for their files. All traffic stays on loopback.

set -euo pipefail
scenarios=examples/switchboard/scenarios
switchboard_pid=

install_sipp() {
    command -v sipp >/dev/null && return
    apt-get update -qq && apt-get install -y -qq sip-tester >/dev/null
}

# start_switchboard PORT [argument ...]: returns when it listens.
start_switchboard() {
    address=127.0.0.1:$1
    shift
    target/release/examples/switchboard --listen "$address" --cdr "$work/cdr.jsonl" --json "$@" \
        >"$work/switchboard.out" 2>"$work/switchboard.err" &
    switchboard_pid=$!
    for _ in {1..100}; do
        grep -q '^listening on' "$work/switchboard.out" && return
        kill -0 "$switchboard_pid" 2>/dev/null || break
        sleep 0.05
    done
    cat "$work/switchboard.err" >&2
    return 1
}

# stop_switchboard: lets it finish its books; returns its verdict.
stop_switchboard() {
    local status=0
    kill -INT "$switchboard_pid"
    wait "$switchboard_pid" || status=$?
    switchboard_pid=
    cat "$work/switchboard.out"
    cat "$work/switchboard.err" >&2
    return "$status"
}

# No switchboard outlives its script.
kill_switchboard() {
    [[ -z $switchboard_pid ]] || kill "$switchboard_pid" 2>/dev/null || true
}

# play SCENARIO PORT CALLS RATE [sipp argument ...]: SIPp's verdict; 0 if every call was a success. SIPp takes
# its media port from PORT too, so that several can run at a time.
play() {
    local name=$1 port=$2 calls=$3 rate=$4 status=0
    shift 4
    (
        cd "$work" # SIPp writes the counts of each message where it stands
        exec sipp "$address" -sf "$OLDPWD/$scenarios/$name.xml" -i 127.0.0.1 -p "$port" -mp $((port + 1000)) \
            -m "$calls" -r "$rate" -timeout 120 -nostdin -trace_stat -stf "$name.csv" -trace_counts \
            -trace_err -error_file "$name.err" "$@"
    ) >"$work/$name.screen" 2>&1 </dev/null || status=$?
    ((status == 0)) || { echo "SIPp: $name ended with $status" >&2; cat "$work/$name.err" >&2 || true; }
    return "$status"
}

# statistics SCENARIO KIND: one line of the manifest, from the last lines of SIPp's two statistics files.
statistics() {
    awk -v scenario="$1" -v kind="$2" '
        FNR == 1 { header[FILENAME] = $0; next }
        { last[FILENAME] = $0 }
        END {
            for (file in header) {
                split(last[file], value, ";")
                for (i = split(header[file], column, ";"); i > 0; i--) {
                    if (column[i] == "TotalCallCreated") created = value[i]
                    if (column[i] == "SuccessfulCall(C)") successful = value[i]
                    if (column[i] == "FailedCall(C)") failed = value[i]
                    if (column[i] ~ /^[0-9]+_[A-Z]+_Sent$/) sent += value[i]
                    if (column[i] ~ /^[0-9]+_[A-Z]+_Retrans$/) again += value[i]
                }
            }
            printf "{\"scenario\": \"%s\", \"kind\": \"%s\", \"created\": %d, ", scenario, kind, created
            printf "\"successful\": %d, \"failed\": %d, \"sent\": %d, ", successful, failed, sent + again
            printf "\"retransmitted\": %d}", again
        }' "$work/$1.csv" "$work/$1"_[0-9]*_counts.csv
}
