/** From the most favourable to the least. */
export type Span = readonly [low: number, high: number];

/** What is not counted but assumed of a board's processor and memory, and why. */
export interface ProcessorAssumptions {
  readonly name: string;
  /** Instructions a second, and where that comes from. */
  readonly instructions: Span;
  readonly instructionsWhy: string;
  /** Nanoseconds of one access to a register of the logic. */
  readonly registerNs: Span;
  readonly registerWhy: string;
  /** Nanoseconds of an access to a word of memory that is mapped without the cache. */
  readonly uncachedReadNs: Span;
  readonly uncachedWriteNs: Span;
  readonly uncachedWhy: string;
  /** Microseconds of the kernel for a command to the cache, and nanoseconds for each line of 32 or 64 bytes. */
  readonly syncUs: Span;
  readonly lineNs: Span;
  readonly lineBytes: number;
  readonly syncWhy: string;
  /** Bytes a second that memory gives the lanes: with and without others that want it. */
  readonly memoryBytes: Span;
  readonly memoryWhy: string;
}

export const CORTEX_A9: ProcessorAssumptions = {
  name: 'Cortex-A9 at 650 MHz',
  instructions: [650e6, 390e6],
  instructionsWhy: '1.0 to 0.6 instructions a cycle at 650 MHz',
  registerNs: [100, 250],
  registerWhy: '10 to 25 cycles of a 100 MHz AXI-Lite behind M_AXI_GP0; the processor waits for each',
  uncachedReadNs: [60, 170],
  uncachedWriteNs: [10, 40],
  uncachedWhy: 'a DDR access for each word read; writes go through a buffer',
  syncUs: [2, 6],
  lineNs: [10, 30],
  lineBytes: 32,
  syncWhy: 'the system call in the kernel, and L1 and L2 a line',
  memoryBytes: [1.575e9, 1.2e9],
  memoryWhy:
    '16 bits at 1050 MT/s are 2.1 GB/s, of which UG585 (DDR Efficiency) gives about 75 %; less where the processor wants it too',
};

export const CORTEX_A53: ProcessorAssumptions = {
  name: 'Cortex-A53 at 1333 MHz',
  instructions: [1333e6, 800e6],
  instructionsWhy: '1.0 to 0.6 instructions a cycle at 1333 MHz, as many of aarch64 as of armv7',
  registerNs: [80, 200],
  registerWhy: '16 to 40 cycles of a 200 MHz AXI-Lite behind M_AXI_HPM0_FPD and a SmartConnect',
  uncachedReadNs: [60, 150],
  uncachedWriteNs: [5, 20],
  uncachedWhy: 'a DDR access for each word read; writes go through a buffer',
  syncUs: [1, 3],
  lineNs: [4, 12],
  lineBytes: 64,
  syncWhy: 'the system call in the kernel, and the caches a line',
  memoryBytes: [14.4e9, 9.6e9],
  memoryWhy: '64 bits at 2400 MT/s are 19.2 GB/s, of which 75 to 50 % are there',
};

/** Bytes a second of a PYNQ-Z1's card: its controller has 4 bits at 50 MHz, 25 MB/s at the most. */
export const CARD_BYTES: Span = [20e6, 12e6];
