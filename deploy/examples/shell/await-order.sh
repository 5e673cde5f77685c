#!/bin/sh
# Asks orderwatch to watch an order, waits until the watch has ended, and exits as it ended.
#
#   await-order.sh PROJECT ORDER REQUEST_ID
#
# Run again with the same REQUEST_ID it asks for nothing new: it waits for the same answer, or finds
# it. Killed, it leaves the watch running. Exit codes, as those of orderwatch watch --wait:
#
#   0 succeeded                    4 timed_out
#   1 NATS, or nothing heard       5 not_found or refused
#   2 the request was rejected     6 cancelled
#   3 failed or partially_failed
#
# It needs the nats tool, jq 1.6 and timeout. The tool finds NATS by NATS_URL or its context.
# REQUESTED_BY and LINK are shown to people; WATCH_TIMEOUT (2h) is the watch's own deadline. After
# PUBLISH_LIMIT (120) seconds the request must be stored, and after WAIT_LIMIT (9000) this script ends.
set -eu

if [ $# -ne 3 ]; then
  echo "usage: $0 PROJECT ORDER REQUEST_ID" >&2
  exit 2
fi
project=$1 order=$2 request_id=$3
begin=$(date +%s)

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'say "interrupted; a watch that was asked for goes on"; exit 130' INT TERM

say() { printf '%s await-order: %s\n' "$(date +%H:%M:%S)" "$*" >&2; }

# tool runs the nats tool within a time. What it prints goes to $work/$1.
tool() {
  to=$work/$1
  shift
  timeout 30 nats "$@" >"$to" 2>"$work/error" </dev/null
}

# note says something that was not said just before.
note() {
  [ "$1" = "$before" ] || say "$1"
  before=$1
}
before=''

# check ends the script when it has worked for so many seconds.
check() {
  if [ $(($(date +%s) - begin)) -ge "$1" ]; then
    say "nothing heard of $request_id within $1 s; a watch that was asked for goes on"
    exit 1
  fi
}

# away notes what the tool said last.
away() { note "trying again: $(cat "$work/$1" "$work/error" | tr -cd '[:print:]')"; }

# publish stores the request. A request on the subject of a stream is answered with the PubAck, which
# says that it is stored durably. A try without an answer may be stored too: the next one says the
# same, so both are one request. The tool exits with 0 also where nobody answers, and jq where there is
# nothing to read.
publish() {
  jq -cn --arg project_id "$project" --arg order_name "$order" --arg request_id "$request_id" \
    --arg requested_by "${REQUESTED_BY:-}" --arg link "${LINK:-}" --arg timeout "${WATCH_TIMEOUT:-2h}" \
    '$ARGS.named | with_entries(select(.value != ""))' >"$work/request"
  until tool ack request --raw --no-templates orders.watch "$(cat "$work/request")" &&
    sequence=$(jq 'select(.error == null and .seq > 0).seq' "$work/ack") && [ -n "$sequence" ]; do
    away ack
    check "${PUBLISH_LIMIT:-120}"
    sleep 3
  done
  say "request $request_id is stored"
}

# events puts the events on the subject $2 into $work/events: those that were stored since the time $3, in seconds, when it
# is called for the first time with the name $1, and then those since it was called before. The service answers them page
# by page: that needs no JetStream in this account.
events() {
  : >"$work/events"
  touch "$work/$1.at"
  more=true
  while [ "$more" = true ]; do
    jq -cn --arg subject "$2" --argjson since "$3" --rawfile cursor "$work/$1.at" \
      '{subjects: [$subject], since: ($since | todate), $cursor, limit: 1000}' >"$work/question"
    if ! tool page request --raw --no-templates --timeout 10s orderwatch.events "$(cat "$work/question")" ||
      ! jq -c '.events[].event' "$work/page" >>"$work/events" || ! jq -j .cursor "$work/page" >"$work/$1.next" ||
      [ ! -s "$work/$1.next" ]; then
      away page
      return 1
    fi
    mv "$work/$1.next" "$work/$1.at"
    more=$(jq .more "$work/page")
  done
}

# ended sets outcome where a watch that answers this request has ended. The order's next completion may
# be that of another request.
ended() {
  events ended "orders.completed.*.$project.$order" 0 || return 1
  jq -c --arg id "$request_id" '.data | select(any(.requests[]; .request_id == $id))' "$work/events" >"$work/completion" || return 1
  outcome=$(jq -r .outcome "$work/completion")
  [ -n "$outcome" ]
}

# rejected sets reason where the message was no request.
rejected() {
  events rejected orders.rejected $((begin - 600)) || return 1
  reason=$(jq -r --argjson sequence "$sequence" "$clean"'
    .data | select(.stream_sequence == $sequence) | .reason | clean' "$work/events" | head -n 1)
  [ -n "$reason" ]
}

# progress says how far the watch is.
progress() {
  tool watch request --raw --no-templates orderwatch.get "$(jq -c '{project_id, order_name}' "$work/request")" &&
    now=$(jq -r "$clean"'select(.state == "watching") | [.reason, .last_error.message // empty] | join("; ") | clean' "$work/watch") &&
    [ -n "$now" ] && note "$now"
}

# clean is what a terminal may be shown of texts from outside.
clean='def clean: gsub("\\p{C}"; "?");'

publish
until ended; do
  if rejected; then
    say "rejected: $reason"
    exit 2
  fi
  check "${WAIT_LIMIT:-9000}"
  progress || true # the next time, perhaps
  sleep "${EVERY:-5}"
done
jq -r "$clean"'"\(.order_name): \(.outcome): \(.reason | clean)",
  (.failures[] | "  \(.count) × \(.action): \(.message | clean)")' "$work/completion"
case $outcome in
succeeded) exit 0 ;;
failed | partially_failed) exit 3 ;;
timed_out) exit 4 ;;
not_found | refused) exit 5 ;;
cancelled) exit 6 ;;
esac
say "unknown outcome"
exit 1
