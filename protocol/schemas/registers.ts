import { z } from 'zod';
import { MAX_REGISTERS_PER_REQUEST } from '../limits.js';
import { count, list, uint32 } from './common.js';

/** A register by name, `control.STATUS_0`, or by its place. */
export type RegisterReference =
  | string
  | {
      /** Name of its window, such as `dma0`. */
      readonly window: string;
      /** Bytes from the window's base, a multiple of 4. */
      readonly offset: number;
    };
export const registerReference: z.ZodType<RegisterReference> = z.union([
  z.string().max(100),
  z.strictObject({ window: z.string().max(32), offset: uint32 }),
]);

/** Read only, read and write, written with 1 to clear, or written to start something and never read. */
export type RegisterAccess = 'ro' | 'rw' | 'w1c' | 'pulse';
const access: z.ZodType<RegisterAccess> = z.enum(['ro', 'rw', 'w1c', 'pulse']);

/** Some bits of a register. */
export interface RegisterFieldInfo {
  /** Its name within the register. */
  readonly name: string;
  /** Number of its lowest bit, 0 to 31. */
  readonly lsb: number;
  /** Its width in bits, 1 to 32. */
  readonly width: number;
  /** What may be done with it. */
  readonly access: RegisterAccess;
  /** What it says or does. */
  readonly description: string;
  /** Names of values, by the value in decimal digits. */
  readonly values?: Record<string, string> | undefined;
}

/** A register that exists. */
export interface RegisterInfo {
  /** `window.NAME` */
  readonly name: string;
  /** Name of its window. */
  readonly window: string;
  /** Bytes from the window's base. */
  readonly offset: number;
  /** Physical address. */
  readonly address: number;
  /** What may be done with it. */
  readonly access: RegisterAccess;
  /** Its value after a reset. */
  readonly reset: number;
  /** What it says or does. */
  readonly description: string;
  /** What it counts, where it counts. */
  readonly unit?: string | undefined;
  /** What an access changes besides. */
  readonly sideEffect?: string | undefined;
  /** The manual that says so. */
  readonly source: string;
  /** Its parts; empty where it is one plain number. */
  readonly fields: RegisterFieldInfo[];
}
export const registerInfo: z.ZodType<RegisterInfo> = z.object({
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
export const registersListResult = z.object({ registers: z.array(registerInfo) });

export const registersReadParams = z.strictObject({
  registers: list(registerReference, { min: 1, max: MAX_REGISTERS_PER_REQUEST }),
});
/** The values in the order asked. Fields are decoded by the client, which has the tables from registers.list. */
export const registersReadResult = z.object({ values: z.array(uint32) });

/** A value for a register. */
export interface RegisterWrite {
  /** Which one. */
  readonly register: RegisterReference;
  /** Unsigned 32-bit number. */
  readonly value: number;
}
const registerWrite: z.ZodType<RegisterWrite> = z.strictObject({
  register: registerReference,
  value: uint32,
});
export const registersWriteParams = z.strictObject({
  writes: list(registerWrite, { min: 1, max: MAX_REGISTERS_PER_REQUEST }),
});
