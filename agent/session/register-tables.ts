import { type BoardDescription, listRegisters, type PlacedRegister } from '../../board/index.js';
import { didYouMean, nearestName, PynqLlmError } from '../../errors/index.js';
import type { Params, RegisterInfo, RegisterReference, Result } from '../../protocol/index.js';
import type { RegisterPlace } from '../worker-link/register-mailbox.js';

/** A register that many windows have is suggested in so many. */
const MOST_MEANT = 4;

/** The registers of a board by name. What is not in its tables has no place, so it is never touched. */
export class RegisterTables {
  readonly #description: BoardDescription;
  readonly #windows: readonly string[];
  readonly #byName = new Map<string, PlacedRegister>();
  readonly #byPlace = new Map<string, PlacedRegister>();

  constructor(description: BoardDescription) {
    this.#description = description;
    this.#windows = Object.keys(description.windows);
    for (const placed of listRegisters(description)) {
      this.#byName.set(fullName(placed), placed);
      this.#byPlace.set(`${placed.window} ${placed.register.offset}`, placed);
    }
  }

  list(): Result<'registers.list'> {
    return { registers: [...this.#byName.values()].map(toInfo) };
  }

  /** @throws PynqLlmError DRIVER_UNKNOWN_REGISTER, DRIVER_UNKNOWN_WINDOW, DRIVER_UNALIGNED_ADDRESS, DRIVER_ADDRESS_OUT_OF_RANGE */
  placesToRead({ registers }: Params<'registers.read'>): RegisterPlace[] {
    return registers.map((reference) => this.#placeOf(this.#find(reference)));
  }

  /** @throws PynqLlmError as placesToRead, DRIVER_REGISTER_READ_ONLY */
  placesToWrite({ writes }: Params<'registers.write'>): (RegisterPlace & { readonly value: number })[] {
    return writes.map(({ register, value }) => {
      const placed = this.#find(register);
      if (placed.register.access === 'ro')
        throw new PynqLlmError('DRIVER_REGISTER_READ_ONLY', `${fullName(placed)} can only be read.`, {
          context: { register: fullName(placed) },
        });
      return { ...this.#placeOf(placed), value };
    });
  }

  #placeOf({ window, register }: PlacedRegister): RegisterPlace {
    return { window: this.#windows.indexOf(window), offset: register.offset };
  }

  #find(reference: RegisterReference): PlacedRegister {
    if (typeof reference === 'string') {
      const placed = this.#byName.get(reference);
      if (placed === undefined)
        throw this.#unknown(`named "${reference}"`, { register: reference }, this.#meant(reference));
      return placed;
    }
    const { window, offset } = reference;
    const context = { window, offset };
    const { windows, name } = this.#description;
    if (!Object.hasOwn(windows, window))
      throw new PynqLlmError(
        'DRIVER_UNKNOWN_WINDOW',
        `${name} has no register window "${window}"; it has ${Object.keys(windows).join(', ')}.${didYouMean(window, Object.keys(windows))}`,
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

  /** The whole name, a register's own in every window that has it, or a window's. */
  #meant(name: string): string {
    const placed = [...this.#byName.values()];
    const meant = name.includes('.') ? undefined : nearestName(name, new Set(placed.map((one) => one.name)));
    const own = placed.filter((one) => one.name === meant).map(fullName);
    if (own.length > 0) return ` Did you mean "${own.slice(0, MOST_MEANT).join('" or "')}"?`;
    return didYouMean(name, [...this.#windows, ...this.#byName.keys()]);
  }

  #unknown(where: string, context: Record<string, string | number>, meant = ''): PynqLlmError {
    const what = `${this.#description.name} has no register ${where}.${meant}`;
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
