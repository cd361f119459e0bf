import { PynqLlmError } from '../../errors/index.js';

/** What comes over a link. */
export type FrameKind = 'hello' | 'batch' | 'part' | 'ping' | 'pong';

export interface Frame {
  readonly kind: FrameKind;
  /** Number of the plan: frames of another one are refused. */
  readonly plan: number;
  /** Of a batch, and of a part of one. */
  readonly batch: number;
  /**
   * Of a hello the member's place in the plan, of a part the message's number, of a batch how many of its bytes say what to compute
   * (hidden states are behind them), of ping and pong whatever was asked.
   */
  readonly number: number;
  readonly bytes: Uint8Array;
}

const KINDS: readonly FrameKind[] = ['hello', 'batch', 'part', 'ping', 'pong'];
/** "PQLK" and a version: the first thing that differs where something else talks. */
const MAGIC = 0x504c4b02;
const HEADER = 24;

/** Header and bytes, which are copied. */
export function encodeFrame({ kind, plan, batch, number, bytes }: Frame): Buffer {
  const frame = Buffer.alloc(HEADER + bytes.length);
  for (const [i, word] of [MAGIC, KINDS.indexOf(kind), plan, batch, number, bytes.length].entries())
    frame.writeUInt32BE(word, 4 * i);
  frame.set(bytes, HEADER);
  return frame;
}

/** Makes frames of bytes as they come. */
export class FrameReader {
  #rest: Buffer = Buffer.alloc(0);
  readonly #most: number;

  /** @param most bytes of a frame beside its header: what says that it has more is refused before it comes */
  constructor(most: number) {
    this.#most = most;
  }

  /** @throws PynqLlmError FLEET_LINK_FRAME */
  *read(bytes: Uint8Array): Generator<Frame> {
    this.#rest = this.#rest.length === 0 ? Buffer.from(bytes) : Buffer.concat([this.#rest, bytes]);
    while (this.#rest.length >= HEADER) {
      const [magic, kindNumber, plan, batch, number, length] = Array.from({ length: HEADER / 4 }, (_, i) =>
        this.#rest.readUInt32BE(4 * i),
      ) as [number, number, number, number, number, number];
      const kind = KINDS[kindNumber];
      if (magic !== MAGIC || kind === undefined || length > this.#most)
        throw new PynqLlmError('FLEET_LINK_FRAME', 'What came over a link is no message of this version.', {
          context: { magic, kind: kindNumber, length, most: this.#most },
        });
      if (this.#rest.length < HEADER + length) return;
      const frame = { kind, plan, batch, number, bytes: this.#rest.subarray(HEADER, HEADER + length) };
      this.#rest = this.#rest.subarray(HEADER + length);
      yield frame;
    }
  }
}
