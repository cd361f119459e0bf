import { PynqLlmError } from '../errors/index.js';

/** What a lease's key holds. */
export interface LeaseRecord {
  readonly owner: string;
  readonly ttlMs: number;
  readonly value: string;
}
const MAX_VALUE = 65_536;

/** @throws BUS_OPTION_INVALID where the value is too long */
export function encodeLease({ owner, ttlMs, value }: LeaseRecord): Uint8Array {
  const bytes = Buffer.byteLength(value);
  if (bytes > MAX_VALUE)
    throw new PynqLlmError(
      'BUS_OPTION_INVALID',
      `The value of a lease has ${bytes} bytes; ${MAX_VALUE} are the most.`,
    );
  return Buffer.from(JSON.stringify({ owner, ttlMs, value }));
}

/** @returns undefined for what is no lease: whoever wrote it holds nothing */
export function decodeLease(bytes: Uint8Array): LeaseRecord | undefined {
  if (bytes.byteLength > 8 * MAX_VALUE) return undefined;
  let record: unknown;
  try {
    record = JSON.parse(Buffer.from(bytes).toString());
  } catch {
    return undefined;
  }
  if (typeof record !== 'object' || record === null) return undefined;
  const { owner, ttlMs, value } = record as Record<string, unknown>;
  if (typeof owner !== 'string' || typeof value !== 'string' || typeof ttlMs !== 'number') return undefined;
  const sane = Number.isInteger(ttlMs) && ttlMs >= 100 && ttlMs <= 600_000;
  return sane ? { owner, ttlMs, value } : undefined;
}
