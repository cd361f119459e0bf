#!/bin/sh
# Says what the board is, in lines NAME=VALUE.
echo "machine=$(uname -m)"; echo "kernel=$(uname -r)"; echo "libc=$(getconf GNU_LIBC_VERSION 2>/dev/null)"
echo "uid=$(id -u)"; echo "user=$(id -un)"
sed -n 's/^\(MemTotal\|MemAvailable\|CmaTotal\): *\([0-9]*\) kB/\1=\2/p' /proc/meminfo
# The agent that runs now ends before the next one starts.
grep -lsF "$BASE/current/agent/main.mjs" /proc/[0-9]*/cmdline | while read -r running; do
  sed -n 's/^RssAnon:[^0-9]*\([0-9]*\) kB/agent=\1/p' "${running%/cmdline}/status" 2>/dev/null
done
place=$BASE
while [ ! -d "$place" ]; do place=$(dirname "$place"); done
echo "disk=$(df -Pk "$place" | awk 'NR == 2 { print $4 }')"; echo "epoch=$(date +%s)"
[ ! -f "$CONFIG/board.toml" ] || echo board=yes
fpga=/sys/class/fpga_manager/fpga0/state
[ ! -r "$fpga" ] || echo "fpga=$(cat "$fpga")"
for tool in $TOOLS; do
  command -v "$tool" >/dev/null || PATH=$PATH:/usr/sbin:/sbin command -v "$tool" >/dev/null || echo "missing=$tool"
done
dd if=/dev/null of=/dev/null "$SAFE_READ" status=none 2>/dev/null || echo "missing=dd of GNU coreutils"
