import {
  type AllocateOptions,
  type Board,
  type BoardDescription,
  type BoardFault,
  type DmaBuffer,
  type RegisterWindow,
  STATUS_REGISTERS,
  statusOffset,
} from '../board/index.js';
import { PynqLlmError } from '../errors/index.js';
import { Clock } from './clock.js';
import { Core } from './core/core.js';
import { CoreMemory } from './core-memory.js';
import type { DeviceMemory, MemoryListener } from './device-memory.js';
import { DmaEngine } from './dma-engine.js';
import { BorrowedMemory, type ExternalMemory } from './external-memory.js';
import { FaultPanel, type FaultSwitch } from './faults.js';
import { type Kernel, loadKernel } from './kernel.js';
import { Monitors } from './monitors.js';
import { OwnMemory, wholePages } from './own-memory.js';
import { InputLane, OutputLane } from './stream-lanes.js';
import { Watch, type Watched } from './watch.js';

/** How often a driver without interrupts looks, in microseconds: as linux-device does in long waits. */
const POLL_US = 1000;
/** Alignment of DMA buffers unless asked otherwise: a cache line. */
const CACHE_LINE = 64;

export interface MockBoardOptions {
  /** DMA memory to use instead of the mock's own, at its physical addresses; closed with the board. */
  readonly memory?: ExternalMemory | undefined;
  /** Waiting takes as long as it would on the board; otherwise only simulated time passes. */
  readonly realTime?: boolean;
  /** Faults that are switched on from the start. */
  readonly faults?: readonly FaultSwitch[];
  /** Milliseconds of real time: `faults` are switched on one by one, so far apart, again and again. */
  readonly faultEveryMs?: number | undefined;
  /** Real time, in milliseconds, for `faultEveryMs`. */
  readonly realNow?: () => number;
}

/** A board in memory, as the driver sees one, with what only a mock can tell or do. */
export interface MockBoard extends Board {
  /** Cycles of the fabric clock since the board was opened. */
  readonly cycles: number;
  /** Bytes of weights, inputs and tiles of a SOFT_MAX that were copied for the core since then, not read where they lie. */
  readonly gatheredBytes: number;
  /** Bytes of memory of the mock's own: the core's, and DMA memory unless that is external. */
  readonly memoryBytes: number;
  /** @throws PynqLlmError MOCK_UNKNOWN_FAULT */
  injectFault(fault: FaultSwitch): void;
}

/**
 * Opens a mock of the board that a description describes: registers, AXI DMA, DMA memory and the core, bit for bit
 * and cycle for cycle (docs/mock-device.md). DMA memory of its own is reserved at its full size, but pages cost memory
 * only once they are touched.
 *
 * @throws PynqLlmError MOCK_MEMORY_UNAVAILABLE, MOCK_UNKNOWN_FAULT
 */
export function openMockBoard(description: BoardDescription, options: MockBoardOptions = {}): MockBoard {
  return new SimulatedBoard(description, options);
}

class SimulatedBoard implements MockBoard {
  readonly description: BoardDescription;
  readonly keepsMemory: boolean;
  readonly #clock = new Clock();
  readonly #watch = new Watch();
  /** Stands for the states of the core's units, in status registers and counters. */
  readonly #unitStates: Watched = { lookedAt: -1 };
  readonly #faults = new FaultPanel();
  readonly #coreMemory: CoreMemory;
  readonly #memory: DeviceMemory;
  readonly #kernel: Kernel;
  readonly #inputs: InputLane[];
  readonly #outputs: OutputLane[];
  readonly #engines: DmaEngine[];
  readonly #windows: ReadonlyMap<string, MockWindow>;
  #monitors: Monitors;
  #core: Core;
  /** What the core was found to lack, or to have too many of, after the last wait in vain. */
  #starving: string | undefined;
  #closed = false;
  readonly #options: MockBoardOptions;

  constructor(description: BoardDescription, options: MockBoardOptions) {
    this.#options = options;
    const { memory } = options;
    this.keepsMemory = memory?.keepsMemory ?? false;
    const dmaMemory = memory?.regions.map(({ base, size }) => ({ base, size }));
    this.description = { ...description, ...(dmaMemory && { dmaMemory }) };
    const { faults = [], faultEveryMs, realNow = () => performance.now() } = options;
    if (faultEveryMs !== undefined) this.#faults.injectInTurn(faults, faultEveryMs, realNow);
    else for (const fault of faults) this.#faults.inject(fault);
    const listener: MemoryListener = {
      overwritten: (start, end) => this.#core.keep(start, end),
      handedBack: (buffer, offset, byteLength) => {
        for (const engine of this.#engines) engine.handedBack(buffer, offset, byteLength);
      },
    };
    if (memory === undefined) {
      const own = description.dmaMemory;
      this.#coreMemory = new CoreMemory(own.reduce((sum, { size }) => sum + wholePages(size), 0));
      this.#memory = new OwnMemory(own, this.#coreMemory, listener);
    } else {
      this.#coreMemory = new CoreMemory(0);
      this.#memory = new BorrowedMemory(memory, listener);
    }
    this.#kernel = loadKernel(this.#coreMemory.memory);
    const lanes = Array.from({ length: description.dma.lanes }, (_, lane) => lane);
    this.#inputs = lanes.map(() => new InputLane(this.#clock));
    this.#outputs = lanes.map(() => new OutputLane(this.#clock, this.#coreMemory.words));
    this.#engines = lanes.map(
      (lane) =>
        new DmaEngine({
          lane,
          dma: description.dma,
          clock: this.#clock,
          memory: this.#memory,
          faults: this.#faults,
          input: this.#inputs[lane],
          output: this.#outputs[lane],
          watch: this.#watch,
          onReset: () => this.#core.laneReset(),
        }),
    );
    this.#monitors = new Monitors(description, this.#clock);
    this.#core = this.#newCore();
    this.#windows = new Map(
      Object.entries(description.windows).map(([name, { base, size }]) => [
        name,
        new MockWindow(name, base, size, this.#faults, this.#registersOf(name), () => this.#requireOpen()),
      ]),
    );
  }

  get cycles(): number {
    return this.#clock.now;
  }

  get memoryBytes(): number {
    return this.#coreMemory.bytes.length;
  }

  get gatheredBytes(): number {
    return this.#coreMemory.gatheredBytes;
  }

  injectFault(fault: FaultSwitch): void {
    this.#faults.inject(fault);
  }

  window(name: string): RegisterWindow {
    const window = this.#windows.get(name);
    if (window === undefined)
      throw new PynqLlmError(
        'DRIVER_UNKNOWN_WINDOW',
        `${this.description.title} has no register window "${name}"; it has ${[...this.#windows.keys()].join(', ')}.`,
        { context: { window: name } },
      );
    return window;
  }

  allocate(
    byteLength: number,
    { align = CACHE_LINE, at, direction = 'both' }: AllocateOptions = {},
  ): DmaBuffer {
    this.#requireOpen();
    return this.#memory.allocate(byteLength, Math.max(align, CACHE_LINE), direction, at);
  }

  dmaMemory(): { total: number; free: number; largestFree: number } {
    return this.#memory.usage();
  }

  waitUntil(done: () => boolean, timeoutUs: number): boolean {
    this.#requireOpen();
    this.#faults.switchOnDue();
    const from = this.#clock.now;
    const held = this.#simulate(done, from + Math.ceil((timeoutUs * this.description.clockHz) / 1e6));
    if (held) this.#starving = undefined;
    if (this.#options.realTime) sleep(((this.#clock.now - from) / this.description.clockHz) * 1000);
    return held;
  }

  now(): number {
    return (this.#clock.now / this.description.clockHz) * 1e6;
  }

  takeFaults(): readonly BoardFault[] {
    return this.#faults.take();
  }

  resetLogic(): void {
    this.#requireOpen();
    this.#clock.clear();
    this.#starving = undefined;
    for (const engine of this.#engines) engine.reset(0);
    this.#monitors = new Monitors(this.description, this.#clock);
    this.#core = this.#newCore();
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#memory.close();
  }

  /** Jumps from event to event until `done` holds or the cycle `deadline` is reached. */
  #simulate(done: () => boolean, deadline: number): boolean {
    if (this.#watch.ask(done)) return true;
    if (this.#watch.takeInterrupt() && this.#watch.ask(done)) return true;
    const pollCycles =
      this.description.dma.interrupts === false
        ? Math.ceil((POLL_US * this.description.clockHz) / 1e6)
        : Number.POSITIVE_INFINITY;
    let poll = this.#clock.now + pollCycles;
    for (let next = this.#nextChange(); Math.min(next, poll) <= deadline; next = this.#nextChange()) {
      const polled = poll <= next;
      this.#clock.advanceTo(Math.min(next, poll));
      if (!polled) this.#watch.change(this.#unitStates);
      if ((polled || this.#watch.isDue || this.#watch.takeInterrupt()) && this.#watch.ask(done)) return true;
      if (polled) poll += pollCycles;
    }
    this.#clock.advanceTo(deadline);
    if (this.#watch.ask(done)) return true;
    this.#reportStarving();
    return false;
  }

  /** A wait in vain: names the words that are missing or too many, once. */
  #reportStarving(): void {
    const starving = this.#core.starving((lane) => this.#engines[lane].isSending);
    if (starving !== undefined && starving !== this.#starving)
      this.#faults.report('stream-desynchronised', starving);
    this.#starving = starving;
  }

  /** The next cycle at which anything can change that the waiting driver looks at. */
  #nextChange(): number {
    return this.#watch.looksAt(this.#unitStates)
      ? Math.min(this.#clock.next, this.#monitors.nextChange())
      : this.#clock.next;
  }

  #newCore(): Core {
    return new Core({
      description: this.description,
      clock: this.#clock,
      monitors: this.#monitors,
      memory: this.#coreMemory,
      kernel: this.#kernel,
      faults: this.#faults,
      inputs: this.#inputs,
      outputs: this.#outputs,
    });
  }

  #registersOf(window: string): WindowRegisters {
    if (window === 'control') return { read: (offset) => this.#readControl(offset), write: () => {} };
    if (window === 'hwc')
      return {
        read: (offset) => {
          this.#watch.look(this.#unitStates);
          return this.#monitors.read(offset);
        },
        write: (offset, value) => this.#monitors.write(offset, value),
      };
    const engine = this.#engines.find((_, lane) => window === `dma${lane}`);
    return {
      read: (offset) => engine?.read(offset) ?? 0,
      write: (offset, value) => engine?.write(offset, value),
    };
  }

  /** Status registers show the units' states; START and DONE are unused and read 0. */
  #readControl(offset: number): number {
    this.#watch.look(this.#unitStates);
    const units = STATUS_REGISTERS[this.description.revision];
    const index = units.findIndex((_, number) => statusOffset(number) === offset);
    if (index < 0) return 0;
    switch (units[index].unit) {
      case 'control-unit':
      case 'load-unit':
      case 'store-unit':
      case 'scheduler':
        return this.#monitors.stateOf(units[index].unit);
      // v1 only. The manual gives the idle state; the busy ones are those of v3's load monitors.
      case 'weight-loader':
        return this.#monitors.stateOf('load-unit') === 4 ? 2 : 1;
      case 'input-loader':
        return this.#monitors.stateOf('load-unit') === 3 ? 4 : 1;
      default:
        return 0;
    }
  }

  #requireOpen(): void {
    if (this.#closed)
      throw new PynqLlmError('MOCK_CLOSED', `The mock of ${this.description.title} was closed.`);
  }
}

interface WindowRegisters {
  read(offset: number): number;
  write(offset: number, value: number): void;
}

/** A declared window on the bus: whatever lies outside of it is a bus error, which the access itself throws. */
class MockWindow implements RegisterWindow {
  readonly #faults: FaultPanel;
  readonly #registers: WindowRegisters;
  readonly #requireOpen: () => void;

  constructor(
    readonly name: string,
    readonly base: number,
    readonly size: number,
    faults: FaultPanel,
    registers: WindowRegisters,
    requireOpen: () => void,
  ) {
    this.#faults = faults;
    this.#registers = registers;
    this.#requireOpen = requireOpen;
  }

  read32(offset: number): number {
    this.#check(offset);
    return this.#registers.read(offset) >>> 0;
  }

  write32(offset: number, value: number): void {
    this.#check(offset);
    this.#registers.write(offset, value >>> 0);
  }

  #check(offset: number): void {
    this.#requireOpen();
    if (offset % 4 !== 0) throw this.#busError('DRIVER_UNALIGNED_ADDRESS', offset, 'is not aligned');
    if (!(offset >= 0 && offset + 4 <= this.size))
      throw this.#busError('DRIVER_ADDRESS_OUT_OF_RANGE', offset, `is outside of its ${this.size} bytes`);
    if (this.#faults.shows('bus-error'))
      throw new PynqLlmError('DRIVER_BUS_ERROR', `${this.#accessAt(offset)} was answered with an error.`, {
        context: { window: this.name, offset },
      });
  }

  #busError(
    code: 'DRIVER_UNALIGNED_ADDRESS' | 'DRIVER_ADDRESS_OUT_OF_RANGE',
    offset: number,
    why: string,
  ): PynqLlmError {
    const what = `${this.#accessAt(offset)} ${why}`;
    this.#faults.report('bus-error', what);
    return new PynqLlmError(code, `${what}.`, { context: { window: this.name, offset } });
  }

  #accessAt(offset: number): string {
    return `An access at offset ${offset} of the window ${this.name} at 0x${this.base.toString(16)}`;
  }
}

/** Blocks the thread, as waiting for a device does. */
function sleep(milliseconds: number): void {
  if (milliseconds > 0) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, milliseconds);
}
