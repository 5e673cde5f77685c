#!/bin/sh
# The same as await-order.sh, with the program orderwatch: ORDERWATCH_NATS_URL names the server.
exec orderwatch watch --wait --request-id "${3:?usage: $0 PROJECT ORDER REQUEST_ID}" "$1/$2"
