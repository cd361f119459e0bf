import { expect } from 'vitest';
import {
  type BoardDescription,
  DMASR,
  loadBoardDescription,
  shippedBoardNames,
} from '../../../board/index.js';
import { Accelerator } from '../../../driver/accelerator.js';
import { CORE_BLOCK_BYTES, ggmlTypeOf } from '../../../gguf/index.js';
import { UioInterrupts, Waiter } from '../../../linux-device/interrupts.js';
import { type FaultSwitch, openMockBoard } from '../../../mock-device/index.js';
import { boardWith, failureOf } from '../driver/golden.js';
import { FakeMachine, windowsInUio } from './fake-machine.js';

/** A collection of garbage, in microseconds. */
export const PAUSE_US = 200_000;
const DMASR_OFFSETS = [0x04, 0x34];

/** What happens to the thread that waits. */
interface Surroundings {
  /** Called wherever the thread may be stopped: how long it is, in microseconds. */
  readonly pause: () => number;
  readonly interrupts: boolean;
  /** The thread's clock and the pauses are real ones. Otherwise a look at the clock takes a millisecond, and nothing else. */
  readonly realTime?: boolean;
}

/**
 * Waits as a real board does, for a device that goes on meanwhile: the mock, whose time follows that of the waiting
 * thread. LENGTH has 14 bits, so that tiles and inputs are sent in pieces that the thread must start one by one.
 */
export class PausedBoard {
  clockUs = 0;
  /** What the last wait in vain took, and how long the thread was stopped in it. */
  failedUs = 0;
  failedPausedUs = 0;
  #pausedUs = 0;
  readonly #started = performance.now() * 1000;
  readonly #nothing = new Int32Array(new SharedArrayBuffer(4));
  readonly mock;
  readonly board;

  constructor(
    description: BoardDescription,
    readonly surroundings: Surroundings,
  ) {
    this.mock = openMockBoard({ ...description, dma: { ...description.dma, lengthBits: 14 } });
    const machine = new FakeMachine(windowsInUio(description));
    const nodes = Array.from({ length: description.dma.lanes }, (_, lane) => `/dev/uio${lane + 1}`);
    if (surroundings.interrupts) for (const node of nodes) machine.interrupts.add(node);
    machine.onWaitReadable = (timeoutMs) => this.#sleep(timeoutMs * 1000);
    const waiter = new Waiter(
      () => this.now(),
      new UioInterrupts(machine.files, nodes, machine.waitReadable),
    );
    this.board = boardWith(this.mock, {
      now: () => this.now(),
      waitUntil: (done, timeoutUs) => {
        const from = this.clockUs;
        this.#pausedUs = 0;
        const inTime = waiter.waitUntil(() => {
          this.#stop();
          const held = done();
          this.#stop();
          return held;
        }, timeoutUs);
        if (!inTime) {
          this.failedUs = this.clockUs - from;
          this.failedPausedUs = this.#pausedUs;
        }
        return inTime;
      },
      // As on hardware: what is wrong shows in the registers alone.
      takeFaults: () => {
        this.mock.takeFaults();
        return [];
      },
    });
  }

  now(): number {
    this.clockUs = this.surroundings.realTime
      ? performance.now() * 1000 - this.#started
      : this.clockUs + 1000;
    this.#follow();
    return this.clockUs;
  }

  #stop(): void {
    const us = this.surroundings.pause();
    this.#pausedUs += us;
    if (this.surroundings.realTime) Atomics.wait(this.#nothing, 0, 0, us / 1000);
    else this.clockUs += us;
    this.#follow();
  }

  #follow(): void {
    const { mock } = this;
    const behind = this.clockUs - mock.now();
    if (behind > 0) mock.waitUntil(() => mock.now() >= this.clockUs - 0.01, behind);
  }

  /** Until an interrupt of a DMA engine, or for so long. */
  #sleep(us: number): boolean {
    const { mock } = this;
    const came = () =>
      Object.keys(mock.description.windows).some(
        (name) =>
          name.startsWith('dma') &&
          DMASR_OFFSETS.some((offset) => mock.window(name).read32(offset) & (DMASR.IOC_IRQ | DMASR.ERR_IRQ)),
      );
    const end = mock.now() + us;
    mock.waitUntil(() => came() || mock.now() >= end - 0.01, us);
    this.clockUs = Math.max(this.clockUs, mock.now());
    return came();
  }
}

const TYPE = 6;
const KB = 8;
const ROWS = 150;
const COLUMNS = 8;

/** Numbers that are the same in every run. */
export function random(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return ((state ^ (state >>> 15)) >>> 0) / 2 ** 32;
  };
}

/** By their seeds: every core and every multiplication wants the same ones. */
const streams = new Map<number, Uint8Array>();

/** Bytes that make no infinities of the blocks' scales. */
function fillWith(bytes: Uint8Array, seed: number): void {
  let stream = streams.get(seed);
  if (stream === undefined || stream.length < bytes.length) {
    const next = random(seed);
    stream = Uint8Array.from(bytes, () => next() * 0x3f);
    streams.set(seed, stream);
  }
  bytes.set(stream.subarray(0, bytes.length));
}

export function expectSame(actual: Uint32Array, expected: Uint32Array): void {
  // Much quicker than `toEqual`, which says where they differ.
  const [a, b] = [actual, expected].map(({ buffer }) => new Uint8Array(buffer));
  if (Buffer.compare(a, b) !== 0) expect(actual).toEqual(expected);
}

/** Two tiles: four pieces a lane for weights (on one lane 14), two for inputs. */
export function openCore(board: Accelerator['board'], placement: 'resident' | 'staged') {
  const accelerator = new Accelerator(board);
  const program = accelerator.load(
    {
      name: 'w',
      type: ggmlTypeOf(TYPE),
      rows: ROWS,
      columns: KB * 256,
      readRows: (first, count, into) =>
        fillWith(into.subarray(0, count * KB * CORE_BLOCK_BYTES[TYPE]), first),
    },
    placement,
  );
  return {
    accelerator,
    multiply: () => {
      const output = new Float32Array(ROWS * COLUMNS);
      accelerator.multiply([program], COLUMNS, (blocks) => fillWith(blocks, 77), [output]);
      return new Uint32Array(output.buffer);
    },
  };
}

/** Every board that ships, in both timings. */
export const BOARDS = shippedBoardNames().flatMap((name) =>
  (['synthesised', 'systemc'] as const).map((timing) => ({ ...loadBoardDescription(name), timing })),
);

/** Every way in which the mock can keep a driver waiting. */
export const HANGS: readonly FaultSwitch[] = [
  ...[0, 1, 2, 3].map((lane) => ({ name: 'dma-never-completes', lane, channel: 'mm2s' }) as const),
  { name: 'dma-never-completes', channel: 's2mm' },
  // In a piece further on.
  { name: 'dma-never-completes', lane: 0, channel: 'mm2s', after: 6 },
  { name: 'stale-cache' },
  { name: 'no-tlast' },
  { name: 'core-stuck' },
  { name: 'core-stuck', after: 1 },
  { name: 'stream-desynchronised' },
  { name: 'capacity-exceeded' },
  { name: 'hazard' },
];

/** Fails where a transfer in pieces is given up because the thread was stopped. */
export function outlastsPauses(description: BoardDescription): void {
  const next = random(description.name.length);
  let pauses = 0;
  const pause = () => {
    if (next() > 0.15) return 0;
    pauses++;
    return PAUSE_US;
  };
  for (const placement of ['resident', 'staged'] as const) {
    const expected = openCore(openMockBoard(description), placement).multiply();
    for (const interrupts of [true, false]) {
      const { board } = new PausedBoard(description, { pause, interrupts });
      const core = openCore(board, placement);
      for (let i = 0; i < 4; i++) expectSame(core.multiply(), expected);
    }
  }
  expect(pauses).toBeGreaterThan(30);
}

/** Fails where a device that hangs is found before its deadline, or later than 1.2 times that. */
export function findsHangs(description: BoardDescription, interrupts: boolean): void {
  for (const placement of ['resident', 'staged'] as const) {
    const paused = new PausedBoard(description, { pause: () => 0, interrupts });
    const core = openCore(paused.board, placement);
    const expected = core.multiply();
    for (const hang of HANGS.filter(({ lane = 0 }) => lane < description.dma.lanes)) {
      paused.mock.injectFault(hang);
      const error = failureOf(core.multiply);
      const { deadlineUs, timedOut } = error.context;
      expect([hang, timedOut]).toEqual([hang, true]);
      expect(paused.failedUs).toBeGreaterThanOrEqual(Number(deadlineUs));
      expect(paused.failedUs).toBeLessThan(1.2 * Number(deadlineUs));
      expectSame(core.multiply(), expected);
    }
  }
}
