#!/bin/sh
# A walk through Kong's Admin API with curl. In another terminal:
#
#     bin/headrace kong --store sqlite:walk-through.db
#
# ADMIN says where it is, if not on its usual address. Each step prints what was answered.
set -eu
ADMIN=${ADMIN:-http://127.0.0.1:8001}

step() { printf '\n== %s\n' "$1"; }
call() { curl -sS --fail-with-body "$@"; echo; }

step 'An upstream: a name, and how its targets are chosen'
call "$ADMIN/upstreams" -d name=shop.internal -d algorithm=least-connections -d 'tags[]=shop'

step 'Two targets, one with three times the requests of the other'
call "$ADMIN/upstreams/shop.internal/targets" -d target=127.0.0.1:9001 -d weight=75
call "$ADMIN/upstreams/shop.internal/targets" -H 'Content-Type: application/json' \
  -d '{"target": "127.0.0.1:9002", "weight": 25}'

step 'A service whose host is the name of the upstream, and a route to it'
call "$ADMIN/services" -d name=shop -d url=http://shop.internal/
call "$ADMIN/services/shop/routes" -d name=shop -d 'paths[]=/shop' -d 'methods[]=GET'

step 'A mistake is named'
curl -sS "$ADMIN/upstreams" -d name=1.2.3.4
echo

step 'Passive health checks: three failed connections, and a target is left out'
call -X PATCH "$ADMIN/upstreams/shop.internal" -d healthchecks.passive.unhealthy.tcp_failures=3

step 'A target is drained, and comes back'
call -X PATCH "$ADMIN/upstreams/shop.internal/targets/127.0.0.1:9002" -d weight=0
call -X PATCH "$ADMIN/upstreams/shop.internal/targets/127.0.0.1:9002" -d weight=25

step 'Lists, by tag too'
call "$ADMIN/upstreams?tags=shop&size=10"
call "$ADMIN/tags/shop"

step 'All of it goes again'
for path in services/shop/routes/shop services/shop upstreams/shop.internal; do
  call -X DELETE "$ADMIN/$path"
done
