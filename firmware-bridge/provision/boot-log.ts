/** A failure that a board's console shows, in words. */
export interface BootFailure {
  /** The line of the console. */
  readonly line: string;
  readonly meaning: string;
  readonly remedy: string;
  /** Whether the board cannot come up after it; others are told only if it does not. */
  readonly fatal: boolean;
}

const CARD =
  'Write the SD card again, or try another: cards from the bottom of the drawer are the usual cause.';

/**
 * In the order of a boot; the first that fits names the failure. What U-Boot says is not fatal: it also says it of places
 * where it looks in vain before it finds the right one.
 */
const FAILURES: readonly (Omit<BootFailure, 'line'> & { readonly pattern: RegExp })[] = [
  {
    pattern: /Card did not respond to voltage select|MMC: no card present|mmc fail to send stop cmd/i,
    meaning: 'the boot loader finds no SD card',
    remedy: 'Put the SD card in until it clicks; the boot jumper must be at SD.',
    fatal: false,
  },
  {
    pattern:
      /Unable to read file|Bad Linux ARM zImage magic|Wrong Image Format|can't get kernel image|Bad Data CRC/i,
    meaning: 'the boot loader finds no usable kernel on the SD card',
    remedy: CARD,
    fatal: false,
  },
  {
    pattern: /VFS: Unable to mount root fs|VFS: Cannot open root device/,
    meaning: 'the kernel finds no root file system',
    remedy: `${CARD} An image for another board has its root file system elsewhere.`,
    fatal: true,
  },
  {
    pattern: /Kernel panic - not syncing/,
    meaning: 'the kernel stopped with a panic',
    remedy:
      'Write the SD card again with an image for this board; the lines before the panic name its cause.',
    fatal: true,
  },
  {
    pattern: /You are in emergency mode|Give root password for maintenance/,
    meaning: 'the system stopped in emergency mode: a file system of /etc/fstab is missing or damaged',
    remedy: CARD,
    fatal: true,
  },
  {
    pattern:
      /mmc\d+: error -\d+|I\/O error, dev mmcblk\d|EXT4-fs error \(device mmcblk|mmcblk\d: .*(timed out|error -\d+)/,
    meaning: 'the SD card does not read well',
    remedy: CARD,
    fatal: false,
  },
  {
    pattern: /Waiting for root device|Waiting for root file system/,
    meaning: 'the kernel waits for its root file system',
    remedy: `${CARD} An image for another board has its root file system elsewhere.`,
    fatal: false,
  },
];

/** What a line of the console means, if it names a failure. */
export function decodeBootLine(line: string): BootFailure | undefined {
  const found = FAILURES.find(({ pattern }) => pattern.test(line));
  if (!found) return undefined;
  const { meaning, remedy, fatal } = found;
  return { line: line.trim().slice(0, 200), meaning, remedy, fatal };
}

/** So many bytes tell text from noise; a boot loader's banner alone is longer. */
const SAMPLE_BYTES = 96;
/** UTF-8 text of a boot log has almost no bytes outside ASCII; at a wrong bit rate about half are. */
const NOISE_SHARE = 0.3;

/** Counts what cannot be text: at a wrong bit rate the line delivers noise, and so does a JTAG port. */
export class NoiseMeter {
  #recent: boolean[] = [];

  /** @returns whether the last bytes were noise */
  add(bytes: Uint8Array): boolean {
    for (const byte of bytes) this.#recent.push(!isText(byte));
    this.#recent = this.#recent.slice(-SAMPLE_BYTES);
    const noise = this.#recent.filter(Boolean).length;
    return this.#recent.length === SAMPLE_BYTES && noise > NOISE_SHARE * SAMPLE_BYTES;
  }
}

function isText(byte: number): boolean {
  const CONTROLS = [0x07, 0x08, 0x09, 0x0a, 0x0c, 0x0d, 0x0e, 0x0f, 0x1b];
  return (byte >= 0x20 && byte < 0x7f) || CONTROLS.includes(byte);
}
