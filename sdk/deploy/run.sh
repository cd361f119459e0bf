#!/bin/sh
# Written by `pynq-llm deploy`: becomes the agent.
echo $$ > "$RUN/agent.pid"
exec "$BASE/current/bin/node" "$BASE/current/agent/main.mjs" \
  --device "$DEVICE" --listen "unix:$RUN/agent.sock" --store-dir "$STATE"
