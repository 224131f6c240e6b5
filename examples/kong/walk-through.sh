#!/bin/sh
# A walk through Kong's Admin API, and what is proxied by it, with curl. In another terminal:
#
#     bin/headrace kong --store sqlite:walk-through.db
#
# ADMIN and PROXY say where it is, if not on its usual addresses; ONE and TWO are the servers behind it. Each step prints what
# was answered. Nothing has to listen at the servers' addresses: what the proxy answers then is shown too.
set -eu
ADMIN=${ADMIN:-http://127.0.0.1:8001}
PROXY=${PROXY:-http://127.0.0.1:8000}
ONE=${ONE:-127.0.0.1:9001}
TWO=${TWO:-127.0.0.1:9002}

step() { printf '\n== %s\n' "$1"; }
call() { curl -sS --fail-with-body "$@"; echo; }

step 'An upstream: a name, and how its targets are chosen'
call "$ADMIN/upstreams" -d name=shop.internal -d algorithm=least-connections -d 'tags[]=shop'

step 'Two targets, one with three times the requests of the other'
call "$ADMIN/upstreams/shop.internal/targets" -d "target=$ONE" -d weight=75
call "$ADMIN/upstreams/shop.internal/targets" -H 'Content-Type: application/json' \
  -d "{\"target\": \"$TWO\", \"weight\": 25}"

step 'A service whose host is the name of the upstream, and a route to it'
call "$ADMIN/services" -d name=shop -d url=http://shop.internal/
call "$ADMIN/services/shop/routes" -d name=shop -d 'paths[]=/shop' -d 'methods[]=GET'

step 'A request takes the route'
# A change is in effect within milliseconds; who asks at once asks again.
curl -sS --fail-with-body --retry 5 --retry-delay 1 --retry-all-errors "$PROXY/shop/basket" || true
echo

step 'A mistake is named'
curl -sS "$ADMIN/upstreams" -d name=1.2.3.4
echo

step 'Passive health checks: three failed connections, and a target is left out'
call -X PATCH "$ADMIN/upstreams/shop.internal" -d healthchecks.passive.unhealthy.tcp_failures=3

step 'Marked by hand, both targets get nothing: 503, and a field that says why'
for target in "$ONE" "$TWO"; do
  call -X PUT "$ADMIN/upstreams/shop.internal/targets/$target/unhealthy"
done
curl -sS -o /dev/null -w 'status %{http_code}, reason: %header{x-headrace-reason}\n' "$PROXY/shop/basket"
call "$ADMIN/upstreams/shop.internal/health"
for target in "$ONE" "$TWO"; do
  call -X PUT "$ADMIN/upstreams/shop.internal/targets/$target/healthy"
done

step 'A target is drained, and comes back'
call -X PATCH "$ADMIN/upstreams/shop.internal/targets/$TWO" -d weight=0
call -X PATCH "$ADMIN/upstreams/shop.internal/targets/$TWO" -d weight=25

step 'Lists, by tag too'
call "$ADMIN/upstreams?tags=shop&size=10"
call "$ADMIN/tags/shop"

step 'All of it goes again'
for path in services/shop/routes/shop services/shop upstreams/shop.internal; do
  call -X DELETE "$ADMIN/$path"
done
