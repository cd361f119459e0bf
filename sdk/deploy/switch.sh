#!/bin/sh
# Changes what runs on a board. It holds a lock while it works, goes on when the connection that started it is cut, and
# undoes an activation that nobody confirms: between `activate` and `confirm` the board alone sees to it that a release
# runs which was seen to work.
#
#   activate RELEASE TOKEN SECONDS   switch by one rename; after SECONDS without `confirm TOKEN`, `revert TOKEN`
#   confirm TOKEN                    keep it; releases other than this and the one before are removed
#   revert TOKEN                     back to what ran before
#   recover                          at boot: revert what was not confirmed before
#   key RELEASE FILE                 print the public key of FILE, which the agent's user makes where it is not there
#   open OWNER                       wait for the agent's socket, and give it to OWNER, user and group
#   status, remove RELEASE, uninstall
#
# State in the base folder: `current`, a link; `previous`, a release; `pending`: token, boot and former release.
# The service manager's functions and lock.sh come before it.
set -eu
trap '' HUP PIPE
socket=$RUN/agent.sock
cd "$BASE" 2>/dev/null || case "$1" in status|uninstall) exit 0 ;; *) exit "$NO_RELEASE" ;; esac
BASE=$(pwd -P)

active() { [ ! -L current ] || basename "$(readlink current)"; }
running() {
  exe=$(readlink "/proc/$(agent_pid)/exe" 2>/dev/null || true)
  case "$exe" in "$BASE"/releases/*/bin/node*) exe=${exe#"$BASE/releases/"}; echo "${exe%%/*}" ;; esac
}
pending() { [ ! -f pending ] || sed -n "$1p" pending; }
point_to() { rm -f current.new; ln -s "releases/$1" current.new; mv -T current.new current; }
boot_id() { cat /proc/sys/kernel/random/boot_id; }

case "$1" in
activate)
  open_lock 60
  [ -f "releases/$2/MANIFEST" ] || exit "$NO_RELEASE"
  old=$(pending 3); old=${old:-$(active)}; old=${old:--}
  printf '%s\n' "$3" "$(boot_id)" "$old" > pending.new
  mv pending.new pending
  # A loss of power must not leave the switch that follows without this file, or with an empty one.
  sync
  later "$4" /bin/sh "$BASE/releases/$2/system/switch.sh" revert "$3"
  point_to "$2"
  start_agent
  ;;
confirm)
  open_lock 60
  [ "$(pending 1)" = "$2" ] || exit "$NOT_PENDING"
  old=$(pending 3)
  if [ "$old" != - ] && [ "$old" != "$(active)" ]; then echo "$old" > previous.new; mv previous.new previous; fi
  rm pending
  for release in releases/*; do
    case "${release#releases/}" in "$(active)"|"$(cat previous 2>/dev/null)") ;; *) rm -rf "$release" ;; esac
  done
  ;;
revert)
  # As long as putting a release together may take.
  open_lock 900
  [ "$(pending 1)" = "$2" ] || exit 0
  old=$(pending 3)
  if [ "$old" = - ]; then stop_agent; rm -f current pending
  else point_to "$old"; rm pending; start_agent; fi
  ;;
recover)
  open_lock 60
  old=$(pending 3)
  [ "$old" ] && [ "$old" != - ] && [ "$(pending 2)" != "$(boot_id)" ] || exit 0
  # The former release's unit may differ from the one that is just being started.
  point_to "$old"; rm pending; start_agent
  ;;
key)
  [ -f "releases/$2/MANIFEST" ] || exit "$NO_RELEASE"
  as_agent "$BASE/releases/$2/bin/node" "$BASE/releases/$2/agent/fleet-key.js" "$3"
  ;;
open)
  for _ in $(seq 150); do [ ! -S "$socket" ] || break; sleep 1; done
  # The folder is the agent's, which could put a link in the socket's place: not while the folder is root's.
  owner=$(stat -c %u:%g "$RUN")
  trap 'chown -h "$owner" "$RUN"' EXIT
  chown -h "$(id -u)" "$RUN"; chmod 755 "$RUN"
  [ -S "$socket" ] && [ ! -L "$socket" ] && [ "$(stat -c %h "$socket")" = 1 ] || exit 1
  chown -h "$2" "$socket"; chmod 660 "$socket"
  ;;
status)
  echo "active=$(active)"; echo "running=$(running)"; echo "pending=$(pending 1)"; echo "previous=$(cat previous 2>/dev/null)"
  [ ! -f current/MANIFEST ] || sed -n 's,^\([0-9a-f]*\)  \('"$DESIGN_FOLDER"'/.*\)$,design=\1 \2,p' current/MANIFEST
  for release in releases/*/MANIFEST; do
    [ ! -f "$release" ] || { release=${release%/MANIFEST}; echo "release=${release#releases/} $(cat "$release/VERSION.json")"; }
  done
  ;;
remove)
  open_lock 60
  [ -d "releases/$2" ] || exit "$NO_RELEASE"
  [ "$(active)" != "$2" ] && [ "$(pending 3)" != "$2" ] || exit "$IN_USE"
  [ "$(cat previous 2>/dev/null)" != "$2" ] || rm -f previous
  rm -rf "releases/$2"
  ;;
uninstall)
  open_lock 60
  remove_service
  rm -rf "$BASE"
  ;;
esac
