import type { BoardShell } from './board-shell.js';

const FILE = '/tmp/memory-available';

/** Watches the board's memory once a second, from now on until it is switched off. */
export async function watchMemory(shell: BoardShell): Promise<void> {
  const look = 'sed -n "s/^MemAvailable: *//p" /proc/meminfo';
  await shell.run(`sh -c 'while :; do ${look}; sleep 1; done' > ${FILE} 2>/dev/null < /dev/null &`);
}

/** The least that was available so far, in bytes. */
export async function leastAvailable(shell: BoardShell): Promise<number> {
  return 1024 * Number.parseInt(await shell.run(`sort -n ${FILE} | head -n 1`), 10);
}
