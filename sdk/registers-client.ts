import { z } from 'zod';
import { PynqLlmError } from '../errors/index.js';
import type { RegisterInfo, RegisterReference, RegisterWrite } from '../protocol/index.js';
import { call, listOf, requireArguments } from './arguments.js';
import type { CallOptions, Connection } from './connection.js';

const READ = z.object({ registers: listOf('registers'), options: call.optional() });
const WRITE = z.object({ writes: listOf('registers and values'), options: call.optional() });

/** A register's value, and its bits by field. */
export interface RegisterValue {
  /** `window.NAME` */
  readonly name: string;
  /** Physical address. */
  readonly address: number;
  /** Unsigned 32-bit number. */
  readonly value: number;
  /** Its parts. Empty where the register is one plain number. */
  readonly fields: readonly {
    /** Name of the field. */
    readonly name: string;
    /** Its bits, as an unsigned number. */
    readonly value: number;
    /** Name of that value, where it has one. */
    readonly label?: string;
  }[];
}

/** Registers of the board by name: `board.registers`. Nothing that is not in its tables can be touched. */
export class RegistersClient {
  readonly #connection: Connection;
  /** From the last list: the registers by name and by place. */
  #tables: ReadonlyMap<string, RegisterInfo> | undefined;

  constructor(connection: Connection) {
    this.#connection = connection;
  }

  /** Every register that exists, with its fields and access. */
  async list(): Promise<RegisterInfo[]> {
    const { registers } = await this.#connection.request('registers.list', {});
    this.#tables = tablesOf(registers);
    return registers;
  }

  /**
   * Reads registers in one round trip, in the order given.
   * @param registers names such as `dma0.MM2S_DMASR`, or window and byte offset
   * @throws PynqLlmError DRIVER_UNKNOWN_REGISTER, DRIVER_UNALIGNED_ADDRESS, DRIVER_ADDRESS_OUT_OF_RANGE, before any is read
   */
  async read(registers: readonly RegisterReference[], options?: CallOptions): Promise<RegisterValue[]> {
    requireArguments({ registers, options }, READ);
    const { values } = await this.#connection.request(
      'registers.read',
      { registers: [...registers] },
      options,
    );
    if (values.length !== registers.length)
      throw new PynqLlmError(
        'PROTOCOL_BAD_RESULT',
        `${values.length} values came for ${registers.length} registers.`,
      );
    const tables = this.#tables ?? tablesOf(await this.list());
    return registers.map((reference, index) => {
      const key = typeof reference === 'string' ? reference : placeOf(reference);
      const info = tables.get(key);
      if (info === undefined)
        throw new PynqLlmError('PROTOCOL_BAD_RESULT', `The board read ${key} but does not list it.`);
      return decode(info, values[index]);
    });
  }

  /**
   * Writes registers in one round trip, in the order given. Needs the role admin.
   * @throws PynqLlmError as read, DRIVER_REGISTER_READ_ONLY before any is written, PROTOCOL_ROLE_REQUIRED
   */
  async write(writes: readonly RegisterWrite[], options?: CallOptions): Promise<void> {
    requireArguments({ writes, options }, WRITE);
    await this.#connection.request('registers.write', { writes: [...writes] }, options);
  }
}

function tablesOf(registers: readonly RegisterInfo[]): ReadonlyMap<string, RegisterInfo> {
  return new Map(registers.flatMap((info) => [[info.name, info] as const, [placeOf(info), info] as const]));
}

function placeOf({ window, offset }: { readonly window: string; readonly offset: number }): string {
  return `${window}+${offset}`;
}

function decode(info: RegisterInfo, value: number): RegisterValue {
  const fields = info.fields.map(({ name, lsb, width, values }) => {
    const bits = width === 32 ? value : (value >>> lsb) & ((1 << width) - 1);
    const label = values?.[String(bits)];
    return label === undefined ? { name, value: bits } : { name, value: bits, label };
  });
  return { name: info.name, address: info.address, value, fields };
}
