import type { Log } from '../../../listen/index.js';

export type LogLine = Readonly<Record<string, unknown>> & { readonly message: string };

/** A log whose lines a test can read. */
export function keptLog(): { readonly log: Log; readonly lines: LogLine[] } {
  const lines: LogLine[] = [];
  const take = (facts: object, message: string) => lines.push({ ...facts, message });
  return { log: { info: take, warn: take, error: take }, lines };
}
