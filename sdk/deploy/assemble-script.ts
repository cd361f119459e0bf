import { quote } from '../ssh/index.js';
import { INCOMING, type Layout } from './layout.js';
import type { Release } from './release.js';
import { openLock } from './switch-script.js';

/** The script's answer for files that are not there as announced; it prints their paths. */
export const CORRUPT = 68;
/** What dd(1) of GNU's coreutils does with a file that somebody else may be changing; see `assembleScript`. */
export const SAFE_READ = 'iflag=nofollow,nonblock,fullblock,count_bytes';

/**
 * The shell script that makes a release of files that arrived and files that other releases have, as root. Who logs in
 * owns `incoming`, and any process of theirs may change it at any moment: put links, pipes or directories there, or
 * write to what is open. So nothing of it becomes part of a release. Each file is copied to a new one:
 *
 * - the new folder is root's alone until all is checked; every file in it is made anew (`conv=excl`);
 * - a link is not followed (`nofollow`), and a pipe or a lease of another process is not waited for (`nonblock`);
 * - no more is read than the laptop announced, so that an endless file does not fill the storage;
 * - the sums are of the copies, and the list is the one whose digest is the release's name.
 *
 * Files of other releases were made so, and are linked. A release that is there already is left as it is.
 * @param sources where each file is, by SHA-256: below the base folder
 */
export function assembleScript(
  layout: Layout,
  release: Release,
  sources: ReadonlyMap<string, string>,
): string {
  const folders = new Set(
    release.files.map(({ path }) => path.split('/').slice(0, -1).join('/')).filter(Boolean),
  );
  const files = release.files.map(
    ({ sha256, mode, bytes, path }) => `${sha256} ${mode} ${bytes} ${sources.get(sha256)} ${path}`,
  );
  return `set -eu
trap '' HUP PIPE
umask 022
cd ${quote(layout.base)}
${openLock('60')}
target=releases/${release.digest}
if [ -f "$target/MANIFEST" ]; then rm -rf ${INCOMING}; exit 0; fi
new="$target.new"
rm -rf "$new"
mkdir -m 700 "$new"
trap 'rm -rf "$new"' EXIT
mkdir -p ${[...folders].map((folder) => `"$new"/${quote(folder)}`).join(' ')}
copy() {
  said=$(dd if="$1" of="$2" bs=1M count="$3" ${SAFE_READ} conv=excl status=none 2>&1) && return
  echo "$said" >&2
  case "$said" in *'No space left'*|*'quota exceeded'*) exit 1 ;; esac
}
while read -r sha256 mode bytes source path; do
  case "$source" in
  ${INCOMING}/*) copy "$source" "$new/$path" "$bytes"; [ ! -f "$new/$path" ] || chmod "$mode" "$new/$path" ;;
  *) ln "$source" "$new/$path" || true ;;
  esac
  echo "$sha256  $path" >> "$new/MANIFEST"
done <<'END'
${files.join('\n')}
END
[ "$(sha256sum < "$new/MANIFEST")" = '${release.digest}  -' ]
if ! (cd "$new" && sha256sum --check --strict --status MANIFEST 2>/dev/null); then
  (cd "$new" && sha256sum --check MANIFEST 2>/dev/null | sed -n 's/: FAILED.*//p')
  rm -rf ${INCOMING}
  exit ${CORRUPT}
fi
sync
chmod 755 "$new"
mv -T "$new" "$target"
rm -rf ${INCOMING}
`;
}
