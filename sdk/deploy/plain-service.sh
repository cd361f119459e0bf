# shellcheck shell=sh
# The agent as a process of the user who logs in, for switch.sh.
agent_pid() { cat "$RUN/agent.pid" 2>/dev/null || true; }
stop_agent() {
  # The number of a process that is gone may belong to another one by now.
  [ "$(running)" ] || return 0
  pid=$(agent_pid)
  kill "$pid" 2>/dev/null || return 0
  # It has 15 s to end by itself.
  for _ in $(seq 150); do kill -0 "$pid" 2>/dev/null || return 0; sleep 0.1; done
  kill -9 "$pid" 2>/dev/null || true
}
start_agent() {
  stop_agent
  mkdir -p "$RUN"
  rm -f "$RUN/agent.pid"
  setsid sh "$BASE/current/system/run.sh" </dev/null >>"$STATE/agent.log" 2>&1 9>&- &
  for _ in $(seq 50); do [ ! -s "$RUN/agent.pid" ] || break; sleep 0.1; done
}
as_agent() { "$@"; }
later() {
  ( seconds=$1; shift; setsid sh -c 'sleep "$1"; shift; exec "$@"' later "$seconds" "$@" </dev/null >/dev/null 2>&1 9>&- & )
}
remove_service() { stop_agent; rm -f "$RUN/agent.pid"; }
