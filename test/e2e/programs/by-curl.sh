# The recipe of docs/runtime.md: a working directory and a job by nothing but curl. SOCKET, DIRECTORY, CLUSTER
set -e
api() { curl -sf --unix-socket "$socket" "http://peer/api/v1$@"; }
socket=$1 cluster=$3
zip=$(mktemp -d)/dir.zip
(cd "$2" && python3 -m zipfile -c "$zip" .)
name=$(sha256sum "$zip" | cut -c1-40)
api "/packages/$name?cluster=$cluster" -T "$zip" -H 'content-type: application/zip'
api /jobs -H 'content-type: application/json' \
  -d "{\"cluster\": \"$cluster\", \"package\": \"$name\", \"entrypoint\": \"python where.py curl 0\"}" |
  sed -n 's/.*"id":"\([^"]*\)".*/\1/p' >"$zip.id"
api "/jobs/$(cat "$zip.id")/logs?follow=true"
api "/jobs/$(cat "$zip.id")"
