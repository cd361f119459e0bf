/** How software may use a register or a field: read only, read and write, write 1 to clear, or write 1 to trigger. */
export type RegisterAccess = 'ro' | 'rw' | 'w1c' | 'pulse';

/** Some adjacent bits of a register. */
export interface BitField {
  /** Number of the lowest bit. */
  readonly lsb: number;
  /** Number of bits. */
  readonly width: number;
  readonly access: RegisterAccess;
  readonly description: string;
  /** Names of the values that have one. */
  readonly values?: Readonly<Record<number, string>>;
}

/** One 32-bit register, as data: types, the mock's behaviour, the `regs` output and the allow-list derive from it. */
export interface Register {
  /** Bytes from the base of its window. */
  readonly offset: number;
  /** The widest access of its fields; a `w1c` register may have read-only bits too. */
  readonly access: RegisterAccess;
  /** Value after power-up or a reset of the block. */
  readonly reset: number;
  readonly description: string;
  readonly unit?: 'bytes' | 'cycles' | 'address' | 'state';
  /** What an access does besides reading or storing the value. */
  readonly sideEffect?: string;
  /** Where the facts come from. */
  readonly source: string;
  readonly fields?: Readonly<Record<string, BitField>>;
}

/** All registers of one block by name. */
export interface RegisterTable {
  readonly title: string;
  readonly registers: Readonly<Record<string, Register>>;
}

/** One field of a value read from a register; `label` names the value where it has a name. */
export interface DecodedField {
  readonly name: string;
  readonly value: number;
  readonly label?: string;
}

/** The bits of a field at their place in the register, as an unsigned number. */
export function fieldMask(field: BitField): number {
  return ((2 ** field.width - 1) << field.lsb) >>> 0;
}

/**
 * Splits a value into the register's fields, in the table's order.
 * @param value unsigned 32-bit number
 * @returns no fields where the register is one plain number
 */
export function decodeRegister(register: Register, value: number): readonly DecodedField[] {
  return Object.entries(register.fields ?? {}).map(([name, field]) => {
    const bits = (value & fieldMask(field)) >>> field.lsb;
    const label = field.values?.[bits];
    return label === undefined ? { name, value: bits } : { name, value: bits, label };
  });
}
