import { z } from 'zod';
import type { StageBatch } from '../../llm/index.js';
import { wireError } from '../../protocol/index.js';
import { pack, unpack } from '../messages.js';
import { stageBatch } from './batch-schema.js';

const count = z.int().min(0);

/** What one board's stage tells another one's: what to compute, or that it cannot go on. */
export type Hop = { readonly model: string; readonly plan: number } & (
  | {
      readonly kind: 'batch';
      /** Of the plan, counted from 0. */
      readonly number: number;
      /** What to compute; the last stage has it. */
      readonly batch?: StageBatch | undefined;
      /** The columns' states, float32 of little-endian byte order; the first stage makes them. */
      readonly hidden?: Uint8Array | undefined;
    }
  | { readonly kind: 'failed'; readonly error: z.output<typeof wireError> }
);
const inPlan = { model: z.string().regex(/^[0-9a-f]{64}$/), plan: count };
const hop: z.ZodType<Hop> = z.discriminatedUnion('kind', [
  z.object({
    ...inPlan,
    kind: z.literal('batch'),
    number: count,
    batch: stageBatch.optional(),
    hidden: z.instanceof(Uint8Array).optional(),
  }),
  z.object({ ...inPlan, kind: z.literal('failed'), error: wireError }),
]);

export function packHop(message: Hop): Uint8Array {
  return pack(message);
}

/** @throws PynqLlmError FLEET_BAD_MESSAGE */
export function readHop(data: Uint8Array): Hop {
  return unpack(hop, data, "A hidden state of another board's");
}

/** Hidden states as a message carries them: not copied. */
export function toBytes({ buffer, byteOffset, byteLength }: Float32Array): Uint8Array {
  return new Uint8Array(buffer, byteOffset, byteLength);
}

/** Hidden states of a message, in memory of their own. */
export function fromBytes(bytes: Uint8Array): Float32Array<ArrayBuffer> {
  return new Float32Array(new Uint8Array(bytes).buffer);
}
