#!/bin/sh
# The accounts of nats-accounts.conf for those who run a NATS operator: the same as commands of nsc 2.
#
#   nats-accounts-nsc.sh base                        the account ORDERWATCH with its users worker, operator and setup
#   nats-accounts-nsc.sh page                        the account PAGE with its users page and page-actions
#   nats-accounts-nsc.sh team GPU gpu gpu-project    an account for a team: its name, the team, the project
#
# It works in the operator that nsc has selected (nsc env -o NAME; nsc add operator --sys --name NAME makes one). Push what
# it made with nsc push -A, and take each user's login with nsc generate creds. The exports are private: a team imports them
# with activations, which this script makes, and no other account can. Once for a base and once for a team: nsc refuses
# what is there already.
set -eu

# user ACCOUNT NAME PUBLISH SUBSCRIBE [FLAGS...]: subjects with commas between them
user() {
  account=$1 name=$2 publish=$3 subscribe=$4
  shift 4
  nsc add user --account "$account" --name "$name" --allow-pub "$publish" --allow-sub "$subscribe" "$@"
}

base() {
  nsc add account --name ORDERWATCH
  nsc edit account --name ORDERWATCH --js-mem-storage -1 --js-disk-storage -1 --js-streams -1 --js-consumer -1
  # what the worker may publish on: as the user worker in nats-accounts.conf
  worker=$(sed -n '/user: worker/,/^ *}/{s/^ *"\(.*\)"$/\1/p}' "$(dirname "$0")/nats-accounts.conf" | paste -sd, -)
  user ORDERWATCH worker "$worker" '_INBOX_orderwatch.>,orderwatch.>,$SRV.>,$KV.ORDER_ACCOUNTS.hold.>,orders.listed.>' --allow-pub-response=1
  user ORDERWATCH operator 'orders.watch,orderwatch.*' '_INBOX_operator.>'
  user ORDERWATCH setup '>' '>'
}

# share ACCOUNT NAME SUBJECT LOCAL [FLAGS...]: a private export of ORDERWATCH, and its import by the account
share() {
  account=$1 name=$2 subject=$3 local=$4
  shift 4
  nsc add export --account ORDERWATCH --name "$name" --subject "$subject" --private "$@"
  rm -f "$work/token"
  nsc generate activation --account ORDERWATCH --subject "$subject" --target-account "$(key "$account")" --output-file "$work/token"
  nsc add import --account "$account" --name "$name" --token "$work/token" --local-subject "$local"
}

# key prints the public key of an account.
key() { nsc describe account --name "$1" --json | sed -n 's/^ *"sub": "\(A[A-Z0-9]*\)",*$/\1/p'; }

team() {
  account=$1 team=$2 project=$3
  nsc add account --name "$account"
  share "$account" "requests of $team" "orders.watch.$team" orders.watch --service
  share "$account" "service for $team" "orderwatch.*.$team" 'orderwatch.*' --service
  share "$account" "completed of $project" "orders.completed.*.$project.>" "orders.completed.*.$project.>"
  share "$account" "progress of $project" "orders.progress.$project.>" "orders.progress.$project.>"
  share "$account" "attention of $project" "orders.attention.*.$project" "orders.attention.*.$project"
  share "$account" "attention of orders of $project" "orders.attention.*.$project.>" "orders.attention.*.$project.>"
  api=CONSUMER.INFO.ORDER_EVENTS.$team
  share "$account" "consumer of $team" "\$JS.API.$api" "js.orderwatch.API.$api" --service
  api=CONSUMER.MSG.NEXT.ORDER_EVENTS.$team
  share "$account" "events for $team" "\$JS.API.$api" "js.orderwatch.API.$api" --service --response-type Stream
  for ack in "\$JS.ACK.ORDER_EVENTS.$team.>" "\$JS.ACK.*.*.ORDER_EVENTS.$team.>"; do
    share "$account" "acknowledgements $ack" "$ack" "$ack" --service
  done
  user "$account" "$team-producer" orders.watch "_INBOX_$team-producer.>"
  user "$account" "$team-person" 'orders.watch,orderwatch.*' "_INBOX_$team-person.>"
  api=js.orderwatch.API.CONSUMER
  user "$account" "$team-events" "$api.INFO.ORDER_EVENTS.$team,$api.MSG.NEXT.ORDER_EVENTS.$team,\$JS.ACK.ORDER_EVENTS.$team.>,\$JS.ACK.*.*.ORDER_EVENTS.$team.>" \
    "_INBOX_$team-events.>,orders.completed.>,orders.progress.>,orders.attention.>"
}

page() {
  nsc add account --name PAGE
  # what it imports: as the account PAGE in nats-accounts.conf
  sed -n 's/^ *{ service: "\([^"]*\)"\(.*\), accounts: \[PAGE\] }$/\1 \2/p' "$(dirname "$0")/nats-accounts.conf" >"$work/page"
  while read -r subject kind; do
    local=$subject
    case $subject in "\$JS.API."*) local=js.orderwatch.API.${subject#"\$JS.API."} ;; esac
    if [ -n "$kind" ]; then
      share PAGE "page $subject" "$subject" "$local" --service --response-type Stream </dev/null
    else
      share PAGE "page $subject" "$subject" "$local" --service </dev/null
    fi
  done <"$work/page"
  user PAGE page 'js.orderwatch.API.>,orderwatch.status' '_INBOX_page.>'
  user PAGE page-actions 'orderwatch.cancel,orderwatch.cancel.*,orderwatch.poll,orderwatch.poll.*,orderwatch.renotify,orderwatch.renotify.*' '_INBOX_page-actions.>'
}

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
case "${1:-} $#" in
"base 1") base ;;
"page 1") page ;;
"team 4") shift && team "$@" ;;
*)
  echo "usage: $0 base | page | team ACCOUNT TEAM PROJECT" >&2
  exit 2
  ;;
esac
