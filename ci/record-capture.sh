#!/usr/bin/env bash
# Records the capture that the switchboard example replays: real SIP, sent by SIPp, and the manifest beside it,
# made of SIPp's own statistics. Run it after a change of the scenarios or of what the switchboard answers; the
# two files are kept in the repository.
#
#   ci/record-capture.sh [directory]     default: examples/switchboard/data
#
# Takes about half a minute. Fails, and leaves the old files, unless every call was a success by SIPp's count
# and the switchboard's books balance while it records as well as in a replay of what it recorded.
set -euo pipefail
cd "$(dirname "$0")/.."
. ci/sipp.sh

directory=${1:-examples/switchboard/data}
work=$(mktemp -d)
trap 'kill_switchboard; rm -rf "$work"' EXIT

install_sipp
cargo build --release --example switchboard
start_switchboard 5066 --record "$work/calls.pcap" --manifest "$work/calls.json"

# scenario          kind            calls  a second
plan="
answered            answered          700  45
lossy               answered           80   8
slow_ack            answered           40   5
repeated            repeated           80   8
unacknowledged      unacknowledged     40   4
busy                rejected          120  10
declined            rejected           40   4
unknown             rejected           80   8
cancelled           cancelled         160  12
options             no_call            60   5
stray_bye           no_call            30   3
malformed_headers   malformed          20   2
malformed_length    malformed          20   2
malformed_short     malformed          20   2
"

# Packets that SIPp cannot send, and the only ones that are not its own: each is malformed, in another way.
garbage() {
    local head=$'Via: SIP/2.0/UDP 127.0.0.1:9;branch=z9hG4bK-g\r\nFrom: <sip:g@127.0.0.1>;tag=g\r\nTo: <sip:1000@127.0.0.1>\r\nCall-ID: g\r\n'
    local packets=(
        'GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n'
        '\x00\xff\xfe\x01\x80'
        'INVITE sip:1000@127.0.0.1 SIP/2.0\r\n'
        'INVITE sip:1000@127.0.0.1 SIP/2.0\r\n\r\n'
        'INVITE sip:1000@127.0.0.1 SIP/7.0\r\n'"$head"'CSeq: 1 INVITE\r\n\r\n'
        'INVITE tel:+1000 SIP/2.0\r\n'"$head"'CSeq: 1 INVITE\r\n\r\n'
        'INVITE sip:1000@127.0.0.1 SIP/2.0\r\n'"$head"'CSeq: 1 BYE\r\n\r\n'
        'INVITE sip:1000@127.0.0.1 SIP/2.0\r\n'"$head"'CSeq: 99999999999 INVITE\r\n\r\n'
        'INVITE sip:1000@127.0.0.1 SIP/2.0\r\n'"$head"'CSeq: 1 INVITE\r\nnonsense\r\n\r\n'
        'INVITE sip:\xc3\x28@127.0.0.1 SIP/2.0\r\n'"$head"'CSeq: 1 INVITE\r\n\r\n'
        'INVITE sip:1000@127.0.0.1 SIP/2.0\r\n'"$head"'Call-ID: again\r\nCSeq: 1 INVITE\r\n\r\n'
        'SIP/2.0 what\r\n'"$head"'CSeq: 1 INVITE\r\n\r\n'
    )
    garbage_sent=0
    for _ in {1..2}; do
        for packet in "${packets[@]}"; do
            # One write is one datagram: printf alone would flush at every line end.
            printf '%b' "$packet" | dd bs=65536 iflag=fullblock status=none >"/dev/udp/${address/://}"
            garbage_sent=$((garbage_sent + 1))
            sleep 0.2
        done
    done
}

port=6200
players=()
while read -r name _ calls rate; do
    [[ -n $name ]] || continue
    options=()
    [[ $name != repeated ]] || options=(-nr)
    play "$name" "$port" "$calls" "$rate" "${options[@]}" &
    players+=($!)
    port=$((port + 10))
done <<<"$plan"
garbage
for player in "${players[@]}"; do
    wait "$player"
done

# manifest [capture]: all that was sent and, when it is complete, which file it was recorded in.
manifest() {
    echo '{'
    echo "  \"sipp\": \"$(sipp -v | sed -n 's/^ *\(SIPp v[^ ]*[0-9A-Z]\).*/\1/p')\","
    [[ -z ${1:-} ]] || printf '  "capture": {"bytes": %d, "sha256": "%s"},\n' \
        "$(stat -c %s "$1")" "$(sha256sum "$1" | cut -d' ' -f1)"
    echo '  "scenarios": ['
    while read -r name kind _; do
        [[ -n $name ]] || continue
        echo "    $(statistics "$name" "$kind"),"
    done <<<"$plan"
    printf '    {"scenario": "garbage", "kind": "malformed", "created": %d, "successful": %d, "failed": 0, ' \
        "$garbage_sent" "$garbage_sent"
    printf '"sent": %d, "retransmitted": 0}\n' "$garbage_sent"
    echo '  ]'
    echo '}'
}

manifest >"$work/calls.json"
stop_switchboard
manifest "$work/calls.pcap" >"$work/calls.json"
size=$(stat -c %s "$work/calls.pcap")
((size < 3 * 1024 * 1024)) || { echo "the capture has $size bytes: over 3 MiB" >&2; exit 1; }
echo "-- replay"
target/release/examples/switchboard --capture "$work/calls.pcap" --cdr "$work/replay.jsonl"
mkdir -p "$directory"
cp "$work/calls.pcap" "$work/calls.json" "$directory/"
echo "recorded: $directory/calls.pcap, $size bytes"
