import type { Board } from '../../driver/board.js';
import { listRegisters, type PlacedRegister } from '../../driver/registers/index.js';
import { PynqLlmError } from '../../errors/index.js';
import type { Params, RegisterInfo, RegisterReference, Result } from '../../protocol/index.js';

/** The registers of a board by name; nothing that is not in its tables is ever touched. */
export class RegisterFile {
  readonly #board: Board;
  readonly #byName = new Map<string, PlacedRegister>();
  readonly #byPlace = new Map<string, PlacedRegister>();

  constructor(board: Board) {
    this.#board = board;
    for (const placed of listRegisters(board.description)) {
      this.#byName.set(fullName(placed), placed);
      this.#byPlace.set(`${placed.window} ${placed.register.offset}`, placed);
    }
  }

  list(): Result<'registers.list'> {
    return { registers: [...this.#byName.values()].map(toInfo) };
  }

  /** Every reference is checked before the first register is touched. */
  read(params: Params<'registers.read'>): Result<'registers.read'> {
    const placed = params.registers.map((reference) => this.#find(reference));
    return { values: placed.map((one) => this.#board.window(one.window).read32(one.register.offset)) };
  }

  /** @throws PynqLlmError DRIVER_REGISTER_READ_ONLY before anything is written */
  write(params: Params<'registers.write'>): Result<'registers.write'> {
    const writes = params.writes.map(({ register, value }) => ({ placed: this.#find(register), value }));
    for (const { placed } of writes)
      if (placed.register.access === 'ro')
        throw new PynqLlmError('DRIVER_REGISTER_READ_ONLY', `${fullName(placed)} can only be read.`, {
          context: { register: fullName(placed) },
        });
    for (const { placed, value } of writes)
      this.#board.window(placed.window).write32(placed.register.offset, value);
    return {};
  }

  #find(reference: RegisterReference): PlacedRegister {
    if (typeof reference === 'string') {
      const placed = this.#byName.get(reference);
      if (placed === undefined) throw this.#unknown(`named "${reference}"`, { register: reference });
      return placed;
    }
    const { window, offset } = reference;
    const context = { window, offset };
    const { windows, name } = this.#board.description;
    if (!Object.hasOwn(windows, window))
      throw new PynqLlmError(
        'DRIVER_UNKNOWN_WINDOW',
        `${name} has no register window "${window}"; it has ${Object.keys(windows).join(', ')}.`,
        { context },
      );
    if (offset % 4 !== 0)
      throw new PynqLlmError(
        'DRIVER_UNALIGNED_ADDRESS',
        `Offset 0x${offset.toString(16)} is not a multiple of 4.`,
        {
          context,
        },
      );
    if (offset >= windows[window].size)
      throw new PynqLlmError(
        'DRIVER_ADDRESS_OUT_OF_RANGE',
        `Offset 0x${offset.toString(16)} is beyond the ${windows[window].size} bytes of window "${window}".`,
        { context },
      );
    const placed = this.#byPlace.get(`${window} ${offset}`);
    if (placed === undefined)
      throw this.#unknown(`at offset 0x${offset.toString(16)} of window "${window}"`, context);
    return placed;
  }

  #unknown(where: string, context: Record<string, string | number>): PynqLlmError {
    const what = `${this.#board.description.name} has no register ${where}.`;
    return new PynqLlmError('DRIVER_UNKNOWN_REGISTER', what, { context });
  }
}

function fullName(placed: PlacedRegister): string {
  return `${placed.window}.${placed.name}`;
}

function toInfo(placed: PlacedRegister): RegisterInfo {
  const { fields = {}, ...register } = placed.register;
  return {
    ...register,
    name: fullName(placed),
    window: placed.window,
    address: placed.address,
    fields: Object.entries(fields).map(([name, { values, ...field }]) => ({
      ...field,
      name,
      ...(values === undefined ? {} : { values: { ...values } }),
    })),
  };
}
