import { z } from 'zod';
import { MAX_REGISTERS_PER_REQUEST } from '../limits.js';
import { count, list, uint32 } from './common.js';

const access = z.enum(['ro', 'rw', 'w1c', 'pulse']);

/** A register by name, `control.STATUS_0`, or by window and byte offset. */
export const registerReference = z.union([
  z.string().max(100),
  z.strictObject({ window: z.string().max(32), offset: uint32 }),
]);
export type RegisterReference = z.output<typeof registerReference>;

export const registerInfo = z.object({
  /** `window.NAME` */
  name: z.string(),
  window: z.string(),
  offset: uint32,
  address: uint32,
  access,
  reset: uint32,
  description: z.string(),
  unit: z.string().optional(),
  sideEffect: z.string().optional(),
  source: z.string(),
  fields: z.array(
    z.object({
      name: z.string(),
      lsb: count,
      width: count,
      access,
      description: z.string(),
      values: z.record(z.string(), z.string()).optional(),
    }),
  ),
});
/** @interface */
export type RegisterInfo = z.output<typeof registerInfo>;
export const registersListResult = z.object({ registers: z.array(registerInfo) });

export const registersReadParams = z.strictObject({
  registers: list(registerReference, { min: 1, max: MAX_REGISTERS_PER_REQUEST }),
});
/** The values in the order asked. Fields are decoded by the client, which has the tables from registers.list. */
export const registersReadResult = z.object({ values: z.array(uint32) });

export const registersWriteParams = z.strictObject({
  writes: list(z.strictObject({ register: registerReference, value: uint32 }), {
    min: 1,
    max: MAX_REGISTERS_PER_REQUEST,
  }),
});
