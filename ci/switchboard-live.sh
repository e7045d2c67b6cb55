#!/usr/bin/env bash
# The switchboard under real calls: SIPp begins 200 calls a second for 20 seconds, on loopback, and a client
# reads the event stream. Fails unless SIPp reports every call as a success, the switchboard's books balance with
# what SIPp says it did, and the client was told of every call, of the end, and of nothing lost.
#
#   RATE=200 SECONDS_LONG=20 ci/switchboard-live.sh
set -euo pipefail
cd "$(dirname "$0")/.."
. ci/sipp.sh

rate=${RATE:-200}
calls=$((rate * ${SECONDS_LONG:-20}))
work=$(mktemp -d)
client=
trap 'kill_switchboard; [[ -z $client ]] || kill "$client" 2>/dev/null || true; rm -rf "$work"' EXIT

# listen: begins to read the event stream into a file; returns when that has begun.
listen() {
    local events
    events=$(sed -n 's/^events on //p' "$work/switchboard.out")
    exec 3<>"/dev/tcp/${events/://}"
    printf 'Queue: 65536\r\nFilter: Hangup\r\nFilter: Channel=SIP/*\r\nAction: Login\r\n' >&3
    cat <&3 >"$work/events" &
    client=$!
    exec 3>&-
    for _ in {1..100}; do
        ! grep -q '^Event: LoggedIn' "$work/events" || return 0
        sleep 0.05
    done
    echo "the event stream does not answer" >&2
    return 1
}

# told EVENT COUNT
told() {
    local found
    found=$(grep -c "^Event: $1"$'\r' "$work/events" || true)
    echo "events: $found $1"
    ((found == $2)) || { echo "the client was told $1 $found times, not $2" >&2; return 1; }
}

install_sipp
cargo build --release --example switchboard
start_switchboard 5067 --manifest "$work/live.json" --events 127.0.0.1:0
listen
play answered 6400 "$calls" "$rate"

echo "{\"scenarios\": [$(statistics answered answered)]}" >"$work/live.json"
cat "$work/live.json"
stop_switchboard
wait "$client"
client=
told Hangup "$calls"
told Gap 0
told Error 0
told Shutdown 1
