# shellcheck shell=sh
# open_lock SECONDS: waits for the lock of the current folder, on descriptor 9. Who may open it may hold it: only its owner
# may, or any user could keep the agent from starting.
open_lock() {
  ( umask 077; : >> lock )
  chmod 600 lock
  exec 9> lock
  flock -w "$1" 9 || exit "$BUSY"
}
