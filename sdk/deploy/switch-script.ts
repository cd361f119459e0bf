import { quote } from '../ssh/index.js';
import { DESIGN_FOLDER, type Layout } from './layout.js';
import type { ServiceManager } from './service-manager.js';

/** What switch.sh ends with where it refuses. */
export const SWITCH_STATUS = { notPending: 65, noRelease: 66, inUse: 67, busy: 69 } as const;
/** Seconds to wait for another deploy's change; a revert waits as long as putting a release together may take. */
const LOCK_SECONDS = { change: 60, revert: 900 } as const;
/** An agent that does not make its socket within so many seconds is not started. */
const SOCKET_SECONDS = 150;

/**
 * Shell commands that wait for the lock of the current folder, on descriptor 9. Who may open it may hold it: only its
 * owner may, or any user could keep the agent from starting.
 */
export function openLock(seconds: string): string {
  return `( umask 077; : >> lock )
chmod 600 lock
exec 9> lock
flock -w ${seconds} 9 || exit ${SWITCH_STATUS.busy}`;
}

/**
 * The shell script that changes what runs on a board. It holds a lock while it works, goes on when the connection that
 * started it is cut, and undoes an activation that nobody confirms: between `activate` and `confirm` the board alone
 * sees to it that a release runs which was seen to work.
 *
 *   activate RELEASE TOKEN SECONDS   switch by one rename; after SECONDS without `confirm TOKEN`, `revert TOKEN`
 *   confirm TOKEN                    keep it; releases other than this and the one before are removed
 *   revert TOKEN                     back to what ran before
 *   recover                          at boot: revert what was not confirmed before
 *   open OWNER                       wait for the agent's socket, and give it to OWNER, user and group
 *   status, remove RELEASE, uninstall
 *
 * State in the base folder: `current`, a link; `previous`, a release; `pending`: token, boot and former release.
 */
export function switchScript(manager: ServiceManager, layout: Layout): string {
  return `set -eu
trap '' HUP PIPE
base=${quote(layout.base)}
run=${quote(layout.run)}
socket=$run/agent.sock
cd "$base" 2>/dev/null || case "$1" in status|uninstall) exit 0 ;; *) exit ${SWITCH_STATUS.noRelease} ;; esac
base=$(pwd -P)

active() { [ ! -L current ] || basename "$(readlink current)"; }
running() {
  exe=$(readlink "/proc/$(agent_pid)/exe" 2>/dev/null || true)
  case "$exe" in "$base"/releases/*/bin/node*) exe=\${exe#"$base/releases/"}; echo "\${exe%%/*}" ;; esac
}
pending() { [ ! -f pending ] || sed -n "$1p" pending; }
point_to() { rm -f current.new; ln -s "releases/$1" current.new; mv -T current.new current; }
lock() {
${openLock('"$1"')}
}
boot_id() { cat /proc/sys/kernel/random/boot_id; }
${manager.functions(layout)}

case "$1" in
activate)
  lock ${LOCK_SECONDS.change}
  [ -f "releases/$2/MANIFEST" ] || exit ${SWITCH_STATUS.noRelease}
  old=$(pending 3); old=\${old:-$(active)}; old=\${old:--}
  printf '%s\\n' "$3" "$(boot_id)" "$old" > pending.new
  mv pending.new pending
  # A loss of power must not leave the switch that follows without this file, or with an empty one.
  sync
  later "$4" /bin/sh "$base/releases/$2/system/switch.sh" revert "$3"
  point_to "$2"
  start_agent
  ;;
confirm)
  lock ${LOCK_SECONDS.change}
  [ "$(pending 1)" = "$2" ] || exit ${SWITCH_STATUS.notPending}
  old=$(pending 3)
  if [ "$old" != - ] && [ "$old" != "$(active)" ]; then echo "$old" > previous.new; mv previous.new previous; fi
  rm pending
  for release in releases/*; do
    case "\${release#releases/}" in "$(active)"|"$(cat previous 2>/dev/null)") ;; *) rm -rf "$release" ;; esac
  done
  ;;
revert)
  lock ${LOCK_SECONDS.revert}
  [ "$(pending 1)" = "$2" ] || exit 0
  old=$(pending 3)
  if [ "$old" = - ]; then stop_agent; rm -f current pending
  else point_to "$old"; rm pending; start_agent; fi
  ;;
recover)
  lock ${LOCK_SECONDS.change}
  old=$(pending 3)
  [ "$old" ] && [ "$old" != - ] && [ "$(pending 2)" != "$(boot_id)" ] || exit 0
  # The former release's unit may differ from the one that is just being started.
  point_to "$old"; rm pending; start_agent
  ;;
open)
  for i in $(seq ${SOCKET_SECONDS}); do [ ! -S "$socket" ] || break; sleep 1; done
  # The folder is the agent's, which could put a link in the socket's place: not while the folder is root's.
  owner=$(stat -c %u:%g "$run")
  trap 'chown -h "$owner" "$run"' EXIT
  chown -h "$(id -u)" "$run"; chmod 755 "$run"
  [ -S "$socket" ] && [ ! -L "$socket" ] && [ "$(stat -c %h "$socket")" = 1 ] || exit 1
  chown -h "$2" "$socket"; chmod 660 "$socket"
  ;;
status)
  echo "active=$(active)"; echo "running=$(running)"; echo "pending=$(pending 1)"; echo "previous=$(cat previous 2>/dev/null)"
  [ ! -f current/MANIFEST ] || sed -n 's,^\\([0-9a-f]*\\)  \\(${DESIGN_FOLDER}/.*\\)$,design=\\1 \\2,p' current/MANIFEST
  for release in releases/*/MANIFEST; do
    [ ! -f "$release" ] || { release=\${release%/MANIFEST}; echo "release=\${release#releases/} $(cat "$release/VERSION.json")"; }
  done
  ;;
remove)
  lock ${LOCK_SECONDS.change}
  [ -d "releases/$2" ] || exit ${SWITCH_STATUS.noRelease}
  [ "$(active)" != "$2" ] && [ "$(pending 3)" != "$2" ] || exit ${SWITCH_STATUS.inUse}
  [ "$(cat previous 2>/dev/null)" != "$2" ] || rm -f previous
  rm -rf "releases/$2"
  ;;
uninstall)
  lock ${LOCK_SECONDS.change}
  remove_service
  rm -rf "$base"
  ;;
esac
`;
}
