#!/usr/bin/env bash
# The switchboard under real calls: SIPp begins 200 calls a second for 20 seconds, on loopback. Fails unless
# SIPp reports every call as a success and the switchboard's books balance with what SIPp says it did.
#
#   RATE=200 SECONDS_LONG=20 ci/switchboard-live.sh
set -euo pipefail
cd "$(dirname "$0")/.."
. ci/sipp.sh

rate=${RATE:-200}
calls=$((rate * ${SECONDS_LONG:-20}))
work=$(mktemp -d)
trap 'kill_switchboard; rm -rf "$work"' EXIT

install_sipp
cargo build --release --example switchboard
start_switchboard 5067 --manifest "$work/live.json"
play answered 6400 "$calls" "$rate"

echo "{\"scenarios\": [$(statistics answered answered)]}" >"$work/live.json"
cat "$work/live.json"
stop_switchboard
