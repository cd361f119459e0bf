import type { Board, DmaBuffer } from '../../board/index.js';
import { PynqLlmError } from '../../errors/index.js';
import type { Accelerator } from '../accelerator.js';
import { AxiDma } from '../dma/axi-dma.js';
import { type DmaChannel, longestPiece } from '../dma/channel.js';
import { newTraffic } from '../traffic.js';
import type { StreamCheck } from './checks.js';

type Stream = StreamCheck['stream'];

/** What a word stream gave: results of each packet, ended by TLAST, and the status registers at the end. */
export interface StreamRun {
  readonly packets: readonly Uint32Array[];
  readonly status: readonly number[];
}

/** Room for one packet beyond the results that are expected: too many of them are to be seen, not to halt the channel. */
const SPARE_BYTES = 4096;
/** How long the last results may take, in microseconds of the board's time. */
const DEADLINE_US = 100_000;

/**
 * Sends raw instruction words through the DMA engines and collects what comes out. The accelerator must be idle and
 * fresh from power-up; it is reset afterwards.
 */
export function runStream(accelerator: Accelerator, stream: Stream): StreamRun {
  const player = new StreamPlayer(accelerator.board, stream.expect.length * 4 + SPARE_BYTES);
  try {
    const expectedPackets = stream.expect.filter(([, last]) => last === 1).length;
    for (const step of stream.steps) {
      if (step.op === 'send') player.send(step.dma, parseWords(stream.name, step.words));
      else player.run(step.cycles);
    }
    player.settle(expectedPackets);
    return { packets: player.packets, status: accelerator.status().values };
  } finally {
    accelerator.reset();
    player.free();
  }
}

class StreamPlayer {
  readonly packets: Uint32Array[] = [];
  readonly #engines: readonly AxiDma[];
  /** Transfers of each lane, the first under way: a stream may send on before the core takes what came earlier. */
  readonly #waiting = new Map<DmaChannel, DmaBuffer[]>();
  readonly #room: DmaBuffer;
  readonly #buffers: DmaBuffer[] = [];
  readonly #board: Board;

  constructor(board: Board, packetBytes: number) {
    this.#board = board;
    const { lanes } = board.description.dma;
    this.#engines = Array.from({ length: lanes }, (_, lane) => new AxiDma(board, lane, newTraffic()));
    for (const engine of this.#engines) engine.reset(DEADLINE_US);
    this.#room = this.#allocate(Math.min(packetBytes, longestPiece(board.description.dma.lengthBits)));
    this.#expectPacket();
  }

  #allocate(bytes: number): DmaBuffer {
    const buffer = this.#board.allocate(bytes);
    this.#buffers.push(buffer);
    return buffer;
  }

  free(): void {
    for (const buffer of this.#buffers) buffer.free();
  }

  #expectPacket(): void {
    this.#room.giveToDevice();
    this.#engines[0].fromDevice.start(this.#room.physicalAddress, this.#room.byteLength);
  }

  send(lane: number, words: readonly number[]): void {
    if (lane >= this.#engines.length)
      throw new PynqLlmError(
        'DRIVER_BAD_VECTOR',
        `A stream uses lane ${lane}, which this core does not have.`,
      );
    if (words.length === 0) return;
    const channel = this.#engines[lane].toDevice;
    const buffer = this.#allocate(words.length * 4);
    buffer.write(0, new Uint8Array(Uint32Array.from(words).buffer));
    buffer.giveToDevice();
    const queue = this.#waiting.get(channel);
    if (queue !== undefined) {
      queue.push(buffer);
      return;
    }
    this.#waiting.set(channel, [buffer]);
    channel.start(buffer.physicalAddress, buffer.byteLength);
  }

  /** Lets the core run for so many cycles. */
  run(cycles: number): void {
    const timeUs = (cycles * 1e6) / this.#board.description.clockHz;
    this.#board.waitUntil(() => this.#poll() && false, timeUs);
  }

  /** Waits for everything that should still come. */
  settle(expectedPackets: number): void {
    this.#board.waitUntil(
      () => this.#poll() && this.#waiting.size === 0 && this.packets.length >= expectedPackets,
      DEADLINE_US,
    );
  }

  /** Takes what is complete; always true, to be followed by the real condition. */
  #poll(): true {
    for (const [channel, queue] of this.#waiting) {
      if (!channel.poll()) continue;
      queue.shift();
      if (queue.length === 0) this.#waiting.delete(channel);
      else channel.start(queue[0].physicalAddress, queue[0].byteLength);
    }
    const results = this.#engines[0].fromDevice;
    if (results.poll()) {
      const packet = new Uint8Array(results.readReceived());
      this.#room.giveToCpu();
      this.#room.read(0, packet);
      this.packets.push(new Uint32Array(packet.buffer));
      this.#expectPacket();
    }
    return true;
  }
}

function parseWords(name: string, text: string): number[] {
  return text
    .split(/\s+/)
    .filter(Boolean)
    .map((word) => parseWord(name, word));
}

/** A word of eight hexadecimal digits. @throws PynqLlmError DRIVER_BAD_VECTOR */
export function parseWord(name: string, word: string): number {
  if (!/^[0-9a-fA-F]{8}$/.test(word)) {
    throw new PynqLlmError(
      'DRIVER_BAD_VECTOR',
      `The stream ${name} has the word "${word}", which is not eight hexadecimal digits.`,
    );
  }
  return Number.parseInt(word, 16);
}
