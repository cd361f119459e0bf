#!/bin/sh
# Makes the release DIGEST of files that arrived and files that other releases have, as root. Who logs in owns INCOMING,
# and any process of theirs may change it at any moment: put links, pipes or directories there, or write to what is open.
# So nothing of it becomes part of a release. Each file is copied to a new one:
#
# - the new folder is root's alone until all is checked; every file in it is made anew (conv=excl);
# - a link is not followed (nofollow), and a pipe or a lease of another process is not waited for (nonblock);
# - no more is read than the laptop announced, so that an endless file does not fill the storage;
# - the sums are of the copies, and the list is the one whose digest is the release's name.
#
# Files of other releases were made so, and are linked. A release that is there already is left as it is.
# FILES: a line "sha256 mode bytes source path" for each, sources below BASE.
set -eu
trap '' HUP PIPE
umask 022
cd "$BASE"
open_lock 60
target="releases/$DIGEST"
if [ -f "$target/MANIFEST" ]; then rm -rf "./$INCOMING"; exit 0; fi
new="$target.new"
rm -rf "$new"
mkdir -m 700 "$new"
trap 'rm -rf "$new"' EXIT
copy() {
  said=$(dd if="$1" of="$2" bs=1M count="$3" "$SAFE_READ" conv=excl status=none 2>&1) && return
  echo "$said" >&2
  case "$said" in *'No space left'*|*'quota exceeded'*) exit 1 ;; esac
}
while read -r sha256 mode bytes source path; do
  case "$path" in */*) mkdir -p "$new/${path%/*}" ;; esac
  case "$source" in
  "$INCOMING"/*) copy "$source" "$new/$path" "$bytes"; [ ! -f "$new/$path" ] || chmod "$mode" "$new/$path" ;;
  *) ln "$source" "$new/$path" || true ;;
  esac
  echo "$sha256  $path" >> "$new/MANIFEST"
done <<END
$FILES
END
[ "$(sha256sum < "$new/MANIFEST")" = "$DIGEST  -" ]
if ! (cd "$new" && sha256sum --check --strict --status MANIFEST 2>/dev/null); then
  (cd "$new" && sha256sum --check MANIFEST 2>/dev/null | sed -n 's/: FAILED.*//p')
  rm -rf "./$INCOMING"
  exit "$CORRUPT"
fi
sync
chmod 755 "$new"
mv -T "$new" "$target"
rm -rf "./$INCOMING"
