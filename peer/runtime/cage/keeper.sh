#!/bin/sh
# The keeper of a cage: starts it, and when the peer ends it or is no more, kills what is in it and removes every trace.
# A shell, because one stands beside every cage and must outlive the peer: 1 MB, and nothing that has to be built.
#
#   keeper.sh keep FOLDER WORDS… -- COMMAND…   bubblewrap's words and what runs in the cage
#       stdin  open for as long as the peer wants the cage
#       fd 3   further words for bubblewrap, NUL-terminated: what must not be on a command line
#       fd 4   a line to the peer for each event: started, ended CODE, failed SENTENCE
#   keeper.sh exec FOLDER COMMAND…             one more command in a cage that runs
#   keeper.sh end FOLDER                       removes what a keeper left that was killed itself
#
# FOLDER holds, for it to read: table (name of the nftables table), rules (for nft), groups (folders of control groups, one
# a line), limits (VALUE, a tab, FILE, one a line). What it writes there:
# keeper (its own id) and init (bubblewrap's word on the cage's first process).
set -u
# bubblewrap makes folders that the lease's user must pass, whatever a service manager set.
umask 022
verb=$1 folder=$2
shift 2
inner_path=$PATH
PATH=/usr/sbin:/usr/bin:/sbin:/bin
tab=$(printf '\t')

# The cage's first process as seen from here; when it dies, the kernel ends all others.
first_process() {
  sed -n 's/.*"child-pid": *\([0-9][0-9]*\).*/\1/p' "$folder/init" 2>/dev/null
}

# Ids come again: nothing is killed that is not whose child it must be.
is_child() {
  grep -qs "^PPid:[[:blank:]]*$2\$" "/proc/${1:-none}/status"
}

say() { echo "$*" >&4; }

# Also for what is only partly there. Nothing of a cage may stay: each step goes on when the one before found nothing.
remove() {
  while read -r group; do
    for tries in 1 2 3 4 5 6 7 8 9 10; do
      [ -d "$group" ] || break
      for pid in $(cat "$group/cgroup.procs" 2>/dev/null); do kill -9 "$pid" 2>/dev/null; done
      rmdir "$group" 2>/dev/null && break
      sleep 0.05
    done
  done <"$folder/groups"
  table=$(cat "$folder/table")
  printf 'table inet %s\ndelete table inet %s\n' "$table" "$table" | nft -f -
  for tries in 1 2 3 4 5; do rm -rf "$folder" && break; done
} 2>/dev/null

fail() {
  say "failed $1"
  remove
  exit 1
}

into_groups() {
  while read -r group; do echo 0 >"$group/cgroup.procs" || return 1; done <"$folder/groups"
}

prepare() {
  echo $$ >"$folder/keeper"
  : >"$folder/init"
  while read -r group; do
    mkdir "$group" 2>/dev/null || fail "the control group $group cannot be made"
  done <"$folder/groups"
  while IFS="$tab" read -r value file; do
    [ ! -e "$file" ] || echo "$value" 2>/dev/null >"$file" || fail "$file does not take $value"
  done <"$folder/limits"
  wrong=$(nft -f "$folder/rules" 2>&1) || fail "nft refuses the port rules: $(echo "$wrong" | head -n 1)"
}

keep() {
  # Caught, not ignored: what the cage runs would inherit that. A service manager ends the peer by a signal to all of its
  # processes, and the peer must still be able to end its cages.
  trap : TERM INT HUP PIPE
  exec 6<&0
  prepare
  (
    into_groups || exit 125
    ulimit -c 0
    ulimit -n "$(ulimit -H -n)"
    exec bwrap --args 3 --info-fd 5 "$@" </dev/null 5>"$folder/init" 6<&-
  ) &
  child=$!
  exec 3<&- 1>/dev/null 2>&1
  # Ends with the pipe. Only the first process is killed: when bubblewrap itself has ended, all others have as well.
  (
    trap '' TERM INT HUP
    while read -r _; do :; done <&6
    for tries in $(seq 20); do
      is_child "$child" $$ || exit
      pid=$(first_process)
      is_child "$pid" "$child" && kill -9 "$pid" && exit
      sleep 0.05
    done
    kill -9 "$child"
  ) 4>&- &
  watcher=$!
  exec 6<&-
  code=129
  # A signal interrupts the wait as well; the child is still there then.
  while wait "$child"; code=$?; kill -0 "$child"; do :; done
  rm -f "$folder/init"
  say "ended $code"
  while kill -0 "$watcher"; do wait "$watcher"; done
  remove
}

# The peer may have died a moment ago: then a keeper is still at it.
after_keeper() {
  keeper=$(cat "$folder/keeper" 2>/dev/null)
  for tries in $(seq 40); do
    [ -n "$keeper" ] && grep -qsF "$folder" "/proc/$keeper/cmdline" || return
    sleep 0.05
  done
  kill -9 "$keeper"
}

run() {
  pid=$(first_process)
  [ -n "$pid" ] || exit 125
  into_groups || exit 125
  exec nsenter --target="$pid" --mount --pid --ipc --uts -- env "PATH=$inner_path" "$@"
}

case $verb in
  keep) keep "$@" ;;
  exec) run "$@" ;;
  end) after_keeper; remove; [ ! -e "$folder" ] ;;
esac
