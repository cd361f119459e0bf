#!/bin/sh
# Makes the folders of releases; what is there already stays. What the service manager needs follows.
set -e
umask 022
# Refuses to go on where root would work in a folder that another user could put another one in the place of: it and all
# above it have to be root's, and closed to others unless sticky, as /tmp is.
refuse_others() {
  place=$1
  while [ ! -e "$place" ]; do place=$(dirname "$place"); done
  while :; do
    if [ "$(find "$place" -prune \( ! -uid 0 -o ! -type l ! -perm -1000 \( -perm -002 -o -perm -020 ! -gid 0 \) \))" ]; then
      echo "$place"; exit "$UNSAFE"
    fi
    [ "$place" != / ] || break
    place=$(dirname "$place")
  done
}
if [ "$(id -u)" = 0 ]; then
  for path in "$BASE/releases" "$CONFIG"; do refuse_others "$path"; refuse_others "$(readlink -m "$path")"; done
fi
mkdir -p "$BASE/releases"
install -d -m 700 -o "$LOGIN_UID" "$BASE/$INCOMING"
