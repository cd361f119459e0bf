import { Dice } from '../load/workload.js';
import { httpCase } from './http-cases.js';
import { cut, randomBytes } from './mutate.js';
import { protocolCase } from './protocol-cases.js';
import { webSocketCase } from './web-socket-cases.js';

/** What a stranger or a client sends: each step is sent when anything came after the one before, or soon. */
export interface FuzzCase {
  /** What it is, for people. */
  readonly title: string;
  readonly steps: readonly Uint8Array[];
  /** Whether it speaks TLS to a port without, or plainly to one with. */
  readonly wrongLayer: boolean;
  readonly ending: 'reset' | 'close' | 'half-close' | 'unread';
}

type Make = (dice: Dice) => { readonly title: string; readonly steps: readonly Uint8Array[] };

const KINDS: readonly Make[] = [
  bytesCase,
  handshakeCase,
  httpCase,
  httpCase,
  webSocketCase,
  protocolCase,
  protocolCase,
];
const ENDINGS = ['reset', 'close', 'half-close', 'unread'] as const;
/** Apart from the indexes of another seed. */
const CASES_PER_SEED = 1_000_003;

/** A case by its seed and index alone, whatever came before it. */
export function fuzzCase(seed: number, index: number): FuzzCase {
  const dice = new Dice((seed * CASES_PER_SEED + index) % 0x7fff_ffff);
  const made = dice.pick(KINDS)(dice);
  return { ...made, wrongLayer: dice.below(20) === 0, ending: dice.pick(ENDINGS) };
}

function bytesCase(dice: Dice) {
  return { title: 'bytes', steps: cut(dice, randomBytes(dice, dice.below(2_000) + 1)) };
}

/** The first record of a TLS handshake, a ClientHello that claims any length (RFC 8446, 5.1). */
function handshakeCase(dice: Dice) {
  const body = randomBytes(dice, dice.below(300));
  const record = Buffer.from([
    dice.pick([0x16, 0x16, 0x15, 0x17, 0x80]),
    3,
    dice.below(5),
    0,
    0,
    dice.below(3),
    0,
    0,
    0,
  ]);
  record.writeUInt16BE(dice.below(65_536), 3);
  return { title: 'handshake', steps: cut(dice, Buffer.concat([record, body])) };
}
