# shellcheck shell=sh
mkdir -p "$STATE" "$RUN" "$CONFIG"
chmod 700 "$STATE" "$RUN"
make_tokens "$(id -u)"
