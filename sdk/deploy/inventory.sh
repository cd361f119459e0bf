#!/bin/sh
# Lists the files of the installed releases, and those that wait in INCOMING with their sizes; takes away what is in the
# way of a file there.
cd "$BASE" 2>/dev/null || exit 0
for list in releases/*/MANIFEST; do
  [ ! -f "$list" ] || { echo "in ${list%/MANIFEST}"; cat "$list"; }
done
cd "$INCOMING" 2>/dev/null || exit 0
for file in *; do
  if [ -f "$file" ] && [ ! -L "$file" ]; then echo "waiting $file $(wc -c < "$file")"; else rm -rf "./$file"; fi
done
