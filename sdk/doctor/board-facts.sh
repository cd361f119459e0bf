#!/bin/sh
# Prints a board's facts as lines NAME=VALUE; busybox included. It only reads files: nothing that it touches reaches the
# programmable logic. ROOT is the prefix of every path, empty on a board.
say() { printf '%s=%s\n' "$1" "$2"; }
# shellcheck disable=SC2012 # a busybox may have no stat; names of devices hold nothing that ls would change
node() { say "$1" "$2|$3|$(ls -ld "$2" 2>/dev/null | awk '{print $1, $3, $4}')"; }
say machine "$(uname -m)"
say kernel "$(cat "$ROOT/proc/sys/kernel/osrelease" 2>/dev/null)"
say libc "$(getconf GNU_LIBC_VERSION 2>/dev/null)"
say clock "$(date +%s)"
awk '/^(MemTotal|MemAvailable|CmaTotal|CmaFree):/ { sub(":", "", $1); print "kb." $1 "=" $2 }' "$ROOT/proc/meminfo" 2>/dev/null
for d in /opt /var/lib; do say "disk.$d" "$(df -Pk "$ROOT$d" 2>/dev/null | awk 'NR == 2 { print $4 }')"; done
for f in "$ROOT"/sys/class/fpga_manager/*; do [ -r "$f/state" ] && say "fpga.${f##*/}" "$(cat "$f/state")"; done
for f in "$ROOT"/sys/class/uio/*; do [ -e "$f/name" ] && node uio "$ROOT/dev/${f##*/}" "$(cat "$f/name")"; done
for f in "$ROOT"/sys/class/u-dma-buf/*; do [ -e "$f/size" ] && node dma "$ROOT/dev/${f##*/}" "u-dma-buf of $(cat "$f/size") bytes"; done
[ -e "$ROOT/dev/u-dma-buf-mgr" ] && node dma "$ROOT/dev/u-dma-buf-mgr" "u-dma-buf-mgr"
for f in "$ROOT"/dev/dma_heap/*; do [ -e "$f" ] && node dma "$f" "dma-heap"; done
[ -e "$ROOT/dev/dri/renderD128" ] && node dma "$ROOT/dev/dri/renderD128" "zocl (XRT)"
say exec "$(systemctl show pynq-llm.service --property=ExecStart 2>/dev/null | tr '\n' ' ')"
say fleet "$(sed -n 's/^PYNQ_LLM_FLEET_FLAGS="\(.*\)"$/\1/p' "$ROOT/opt/pynq-llm/current/design/fleet.env" 2>/dev/null)"
say cmdline "$(cat "$ROOT/proc/cmdline" 2>/dev/null)"
for f in "$ROOT"/proc/device-tree/reserved-memory/*@*; do [ -d "$f" ] && say reserved "${f##*@}"; done
f=$(systemctl show pynq-llm.service --property=ExecStart 2>/dev/null | sed -n 's/.*--device[ =]linux:\(\/[^ ?;]*\).*/\1/p')
[ -n "$f" ] && say board "$(sed -n 's/^board *= *"\([a-z0-9-]*\)".*/\1/p' "$ROOT$f" 2>/dev/null)"
true
