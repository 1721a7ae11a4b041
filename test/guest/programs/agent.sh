#!/bin/sh
# Answers one connection: a name for the job, its shell words in base64, then what it reads. Back comes what it says, and
# behind a byte 30 its exit status. Its process id stands in /run/jobs under its name.
IFS= read -r name
IFS= read -r words
export PATH=/bin HOME=/tmp LC_ALL=C
sh -c 'echo $$ >"/run/jobs/$0"; eval "$1"' "$name" "$(echo "$words" | base64 -d)" 2>&1
printf '\036%d\n' $?
