# shellcheck shell=sh
user=pynq-llm
id "$user" >/dev/null 2>&1 ||
  useradd --system --user-group --home-dir "$STATE" --no-create-home --shell /usr/sbin/nologin "$user"
for group in render video; do
  ! getent group "$group" >/dev/null || usermod -aG "$group" "$user"
done
install -d -m 755 "$CONFIG"
install -d -m 700 -o "$user" -g "$user" "$STATE"
make_tokens "$user:$user"
