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
/** Of random bytes about 60 % are such; text in any encoding of letters has fewer, or none that control anything. */
const NOISE_SHARE = 0.3;
const CONTROL_SHARE = 0.03;
/** BEL, BS, HT, LF, FF, CR, SO, SI and ESC: what terminals are told with. */
const USUAL_CONTROLS = new Set([0x07, 0x08, 0x09, 0x0a, 0x0c, 0x0d, 0x0e, 0x0f, 0x1b]);

/**
 * Tells noise from text: at a wrong bit rate the line delivers it, and so does a JTAG port. Bytes that are no UTF-8 may be text in another
 * encoding; together with control characters that no text has they are none.
 */
export class NoiseMeter {
  #recent: readonly number[] = [];

  /** @returns whether the last bytes were noise */
  add(bytes: Uint8Array): boolean {
    for (let at = 0; at < bytes.length; at += SAMPLE_BYTES / 2) {
      this.#recent = [...this.#recent, ...bytes.subarray(at, at + SAMPLE_BYTES / 2)].slice(-SAMPLE_BYTES);
      if (this.#recent.length === SAMPLE_BYTES && isNoise(this.#recent)) return true;
    }
    return false;
  }
}

function isNoise(bytes: readonly number[]): boolean {
  const controls = bytes.filter((byte) => (byte < 0x20 && !USUAL_CONTROLS.has(byte)) || byte === 0x7f).length;
  const share = (count: number) => count / bytes.length;
  return share(controls) > CONTROL_SHARE && share(controls + countInvalid(bytes)) > NOISE_SHARE;
}

/** Bytes that are no part of a UTF-8 character; what a character at either edge lacks is not counted. */
function countInvalid(bytes: readonly number[]): number {
  let at = 0;
  while (at < 3 && isContinuation(bytes[at])) at++;
  let invalid = 0;
  while (at < bytes.length) {
    const first = bytes[at]!;
    const length =
      first < 0x80 ? 1 : first < 0xc2 ? 0 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : first < 0xf5 ? 4 : 0;
    const rest = bytes.slice(at + 1, at + Math.max(1, length));
    const isWhole = length > 0 && rest.every(isContinuation);
    if (!isWhole) invalid++;
    at += isWhole ? length : 1;
  }
  return invalid;
}

function isContinuation(byte: number | undefined): boolean {
  return byte !== undefined && (byte & 0xc0) === 0x80;
}
