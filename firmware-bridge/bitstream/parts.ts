import { PynqLlmError } from '../../errors/index.js';

/** How the 32-bit words of configuration data lie in a file: as in a .bit (`AA 99 55 66`), or each word reversed. */
export type WordOrder = 'bit' | 'swapped';

/** An FPGA that a board can have. */
export interface FpgaPart {
  /** Device without package and speed: `7z020`, `xck26`. */
  readonly name: string;
  readonly family: 'zynq-7000' | 'zynq-ultrascale+';
  /** What the configuration data may write to IDCODE, without the four bits of the silicon's version. */
  readonly idcodes: readonly number[];
  /** What the kernel's FPGA manager takes. */
  readonly firmwareOrder: WordOrder;
}

/** The upper four bits of an IDCODE are the silicon's version; configuration ignores them (UG470, table 1-1). */
const IDCODE_DEVICE = 0x0fff_ffff;

/**
 * IDCODEs: UG470 for the 7 series. The Zynq UltraScale+ has two; configuration data carries that of the programmable
 * logic's own TAP (0x04A49093 in Vivado's device tables), not the processor's 0x04724093 that a JTAG scan shows at
 * first. No bitstream for an xck26 was at hand to check, so both pass: the part in the header must fit in any case.
 * The driver zynq-fpga wants the bytes of each word reversed; the UltraScale+ firmware takes them as in the .bit.
 */
const FPGA_PARTS: readonly FpgaPart[] = [
  { name: '7z007s', family: 'zynq-7000', idcodes: [0x0372_3093], firmwareOrder: 'swapped' },
  { name: '7z010', family: 'zynq-7000', idcodes: [0x0372_2093], firmwareOrder: 'swapped' },
  { name: '7z020', family: 'zynq-7000', idcodes: [0x0372_7093], firmwareOrder: 'swapped' },
  { name: 'xck26', family: 'zynq-ultrascale+', idcodes: [0x04a4_9093, 0x0472_4093], firmwareOrder: 'bit' },
];

/**
 * The FPGA that a part is, in any of the spellings of Vivado: `7z020clg400`, `xc7z020clg400-1`, `xck26-sfvc784-2LV-c`.
 * @returns undefined for a part that no supported board has
 */
export function findPart(spelling: string): FpgaPart | undefined {
  const device = spelling.toLowerCase().replace(/^xc(?=7z)/, '');
  return FPGA_PARTS.find(({ name }) => device.startsWith(name) && !/^[0-9]/.test(device.slice(name.length)));
}

/** As `findPart`. @throws PynqLlmError FIRMWARE_PART_UNKNOWN */
export function partNamed(spelling: string): FpgaPart {
  const part = findPart(spelling);
  if (part) return part;
  throw new PynqLlmError(
    'FIRMWARE_PART_UNKNOWN',
    `"${spelling}" is none of the FPGAs that are known: ${FPGA_PARTS.map(({ name }) => name).join(', ')}.`,
    { context: { part: spelling } },
  );
}

/** The part that an IDCODE names, or undefined. */
export function partOfIdcode(idcode: number): FpgaPart | undefined {
  return FPGA_PARTS.find(({ idcodes }) => idcodes.includes(idcode & IDCODE_DEVICE));
}
