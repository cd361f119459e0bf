/** The last day on which a line of Node.js gets fixes, by its major version (nodejs/Release, schedule.json). */
const LAST_FIXES: Readonly<Record<number, string>> = {
  20: '2026-04-30',
  22: '2027-04-30',
  24: '2028-04-30',
  26: '2029-04-30',
};

/** How a board gets a Node.js that has fixes. @param machine what `uname -m` says there */
export function newerNode(machine: string): string {
  const known: Readonly<Record<string, string>> = { armv7l: 'armv7l', aarch64: 'arm64', x86_64: 'x64' };
  return `Take node-v22.X.Y-linux-${known[machine] ?? 'ARCH'}.tar.gz and SHASUMS256.txt from nodejs.org, and give it to \`deploy --node FILE\`.`;
}

/**
 * Since when a version of Node.js gets no fixes any more: a day as YYYY-MM-DD; undefined while it gets some, and for lines
 * that are not known here.
 * @param version such as 20.11.0 or v20.11.0
 * @param now milliseconds since 1970
 */
export function unsupportedSince(version: string, now: number): string | undefined {
  const major = Number(version.replace(/^v/, '').split('.')[0]);
  const last = LAST_FIXES[major];
  return last !== undefined && now > Date.parse(`${last}T23:59:59Z`) ? last : undefined;
}
