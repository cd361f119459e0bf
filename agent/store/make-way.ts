/**
 * Removes files, in their order, until so many bytes are free.
 * @param free bytes that are free before
 * @returns how many are after
 */
export async function makeWay(
  bytes: number,
  free: number,
  files: readonly { remove(): Promise<void> }[],
  freeBytes: () => Promise<number>,
): Promise<number> {
  let now = free;
  for (const file of files) {
    if (bytes <= now) break;
    await file.remove();
    now = await freeBytes();
  }
  return now;
}
