#!/bin/sh
# Written by `pynq-llm deploy`: becomes the agent.
echo $$ > "$RUN/agent.pid"
PYNQ_LLM_FLEET_FLAGS=
fleet=$BASE/current/$FLEET_FILE
# shellcheck disable=SC1090
[ ! -f "$fleet" ] || . "$fleet"
# Words of their own, none of them a pattern.
set -f
# shellcheck disable=SC2086
exec "$BASE/current/bin/node" "$BASE/current/agent/main.mjs" \
  --device "$DEVICE" --listen "unix:$RUN/agent.sock" --store-dir "$STATE" $PYNQ_LLM_FLEET_FLAGS
