#!/bin/sh
# What systemd says of the agent's unit, and the release that runs. A board without systemd prints only the release.
systemctl show "$UNIT" --property="$PROPERTIES" 2>/dev/null
echo "Release=$(readlink "$CURRENT" 2>/dev/null)"
echo "OomKills=$(awk '/^oom_kill / { print $2 }' "${ROOT:-}/proc/vmstat" 2>/dev/null)"
