import { readFileSync } from 'node:fs';
import { z } from 'zod';
import { PynqLlmError } from '../../errors/index.js';
import type { LoadSample } from './advise.js';

/** A month of a sample each ten seconds. */
const MOST_SAMPLES = 300_000;

const line = z.object({
  at: z.union([z.number().int().min(0).max(1e14), z.iso.datetime({ offset: true }).transform(Date.parse)]),
  busyBoards: z.number().min(0).max(10_000),
  tokens: z.int().min(0).optional(),
});

/**
 * Reads what a fleet had to do: a line each of `{"at","busyBoards"}`, with the time as ISO 8601 or in milliseconds since 1970.
 * @returns in the order of time
 * @throws PynqLlmError FLEET_HISTORY
 */
export function readHistory(path: string): LoadSample[] {
  const refused = (what: string, cause?: unknown) =>
    new PynqLlmError('FLEET_HISTORY', `${path} is no history of a fleet: ${what}.`, {
      context: { path },
      cause,
    });
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (cause) {
    throw refused('it cannot be read', cause);
  }
  const lines = text.split('\n').filter((one) => one.trim() !== '');
  if (lines.length === 0) throw refused('it has no line');
  if (lines.length > MOST_SAMPLES) throw refused(`it has more than ${MOST_SAMPLES} lines`);
  return lines
    .map((one, i) => {
      const sample = readSample(one);
      if (sample === undefined) throw refused(`line ${i + 1} is not {"at","busyBoards"}`);
      return sample;
    })
    .sort((a, b) => a.at - b.at);
}

/** @returns undefined where a line is none of a history */
export function readSample(text: string): LoadSample | undefined {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return undefined;
  }
  return line.safeParse(value).data;
}
