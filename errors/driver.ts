import type { ErrorEntry } from './entry.js';

const RETRY =
  'The device was reset: the next request works. If it comes back, run `pynq-llm selftest` and check bitstream, clock and board description.';
const ARGUMENT = 'Correct the call; the documentation of the function has the limits.';

/** Errors of driver/: numbers 2000 to 2999. */
export const DRIVER_ERRORS = {
  DRIVER_DMA_MEMORY_FULL: {
    number: 2001,
    meaning: 'No free piece of DMA memory is large enough.',
    remedy: 'Unload a model, let more tensors be staged, or reserve more DMA memory on the board.',
  },
  DRIVER_BUFFER_NOT_OWNED: {
    number: 2002,
    meaning: 'The bytes of a DMA buffer were touched while the device owned it.',
    remedy: 'Hand the range back with giveToCpu() before reading or writing it.',
  },
  DRIVER_BUFFER_FREED: {
    number: 2003,
    meaning: 'A DMA buffer was used after it was freed.',
    remedy: 'Keep the buffer as long as it is used.',
  },
  DRIVER_UNKNOWN_WINDOW: {
    number: 2004,
    meaning: 'The board description declares no register window of this name.',
    remedy: 'Use a window of the board description: control, hwc, dma0 to dma3.',
  },
  DRIVER_UNKNOWN_REGISTER: {
    number: 2005,
    meaning: 'The window has no register of this name or at this offset.',
    remedy: '`pynq-llm regs` lists the registers of the device.',
  },
  DRIVER_UNALIGNED_ADDRESS: {
    number: 2006,
    meaning: 'A register offset or DMA address is not a multiple of 4.',
    remedy: 'Registers and DMA transfers are made of whole 32-bit words: give a multiple of 4.',
  },
  DRIVER_ADDRESS_OUT_OF_RANGE: {
    number: 2007,
    meaning: 'A register offset lies outside of its window.',
    remedy: '`pynq-llm regs` lists the registers of the device.',
  },
  DRIVER_REGISTER_READ_ONLY: {
    number: 2008,
    meaning: 'A read-only register was to be written.',
    remedy: '`pynq-llm regs` lists the registers of the device with their access.',
  },
  DRIVER_BUS_ERROR: {
    number: 2009,
    meaning: 'The bus answered a register access with an error.',
    remedy:
      'Check that the bitstream is loaded, that its clock runs and that the addresses of the board description are its own.',
  },
  DRIVER_DMA_TIMEOUT: {
    number: 2010,
    meaning: 'A DMA transfer did not complete before its deadline.',
    remedy: RETRY,
  },
  DRIVER_DMA_DECODE_ERROR: {
    number: 2011,
    meaning: 'A DMA engine found no memory at an address.',
    remedy: RETRY,
  },
  DRIVER_DMA_SLAVE_ERROR: {
    number: 2012,
    meaning: 'The memory answered a DMA engine with an error.',
    remedy: RETRY,
  },
  DRIVER_DMA_INTERNAL_ERROR: {
    number: 2013,
    meaning:
      'A DMA engine stopped with an internal error: a length of 0, or a packet longer than the room for it.',
    remedy: RETRY,
  },
  DRIVER_DMA_RESET_TIMEOUT: {
    number: 2014,
    meaning: 'A DMA engine did not come out of reset, or did not start to run, before its deadline.',
    remedy:
      'Check that the bitstream is loaded and its clock runs, then load the bitstream again or switch the board off and on.',
  },
  DRIVER_RESULT_LENGTH: {
    number: 2020,
    meaning: 'The core sent another number of results than the program computes.',
    remedy: RETRY,
  },
  DRIVER_RESULT_WITHOUT_TLAST: {
    number: 2021,
    meaning: 'The core finished a computation, but the end of its result packet never came.',
    remedy: RETRY,
  },
  DRIVER_CORE_STUCK: {
    number: 2022,
    meaning: "The core's scheduler hangs in its start handshake (state 31).",
    remedy:
      'The device was reset. Most likely the bitstream was built without this weight type: compare the weight types of the board description with the bitstream.',
  },
  DRIVER_STREAM_DESYNCHRONISED: {
    number: 2023,
    meaning:
      'The core waits for words after all transfers were made: it took words for something else than they were.',
    remedy: RETRY,
  },
  DRIVER_CORE_NOT_IDLE: {
    number: 2024,
    meaning: 'The core is not idle after a reset.',
    remedy:
      'Load the bitstream again or switch the board off and on; check that the board description is of this bitstream.',
  },
  DRIVER_CAPACITY_EXCEEDED: {
    number: 2025,
    meaning: 'An instruction asks for more super-blocks than the core holds.',
    remedy: 'Send at most 1024 weight and 512 input super-blocks at a time.',
  },
  DRIVER_STALE_BUFFER: {
    number: 2026,
    meaning: 'The device read memory that was not handed over to it, so it may have seen old data.',
    remedy: 'Hand every range over with giveToDevice() before a transfer uses it.',
  },
  DRIVER_DEVICE_FAULT: { number: 2027, meaning: 'The board reported a fault by itself.', remedy: RETRY },
  DRIVER_NOT_RECOVERED: {
    number: 2028,
    meaning: 'The device could not be reset after a fault.',
    remedy:
      'The next request tries again; if it fails too, load the bitstream again or switch the board off and on.',
  },
  DRIVER_STAGED_WEIGHTS: {
    number: 2029,
    meaning: 'Weights that are read for each use are not what was loaded.',
    remedy:
      'The storage that models lie on changed or fails: check it (on a board its card), upload the model again, and load it again.',
  },
  DRIVER_UNSUPPORTED_TENSOR: {
    number: 2030,
    meaning: 'The core cannot take a tensor of this shape or type.',
    remedy: 'Ask plan() first and leave such tensors to the CPU kernels.',
  },
  DRIVER_BAD_ARGUMENT: { number: 2031, meaning: 'An argument is out of its range.', remedy: ARGUMENT },
  DRIVER_CLOSED: {
    number: 2032,
    meaning: 'The accelerator was closed, or the program was unloaded.',
    remedy: 'Open the device again, or load the program again.',
  },
  DRIVER_BAD_INSTRUCTION: {
    number: 2033,
    meaning: 'An operand does not fit its instruction word.',
    remedy: ARGUMENT,
  },
  DRIVER_NO_SOFT_MAX: {
    number: 2034,
    meaning: 'The core has no SOFT_MAX unit: only revision v4 has one. To others nothing was sent.',
    remedy:
      'Compute the softmax on the CPU, or load a bitstream of revision v4 and use its board description, with its `hwc` window.',
  },
  DRIVER_COMPUTE_CYCLES: {
    number: 2035,
    meaning:
      'The core computed for another number of cycles than the MatMul takes: it did not do what it was told.',
    remedy:
      'Run `selftest`: where it fails too, compare bitstream, revision, timing and clock with the board description; where it passes, suspect the clock or the power of the board.',
  },
  DRIVER_NO_COUNTERS: {
    number: 2040,
    meaning: 'The board description declares no window for hardware counters.',
    remedy: 'Use a bitstream with hardware counters and declare its `hwc` window.',
  },
  DRIVER_UNKNOWN_COUNTER: {
    number: 2041,
    meaning: 'The core has no monitor of this name, or the monitor no such state.',
    remedy: '`pynq-llm counters` lists the monitors of the device and their states.',
  },
  DRIVER_COUNTERS_MISMATCH: {
    number: 2042,
    meaning: 'The counters of the loaded bitstream are not laid out as the board description says.',
    remedy:
      'Name the description of the bitstream that is loaded (of a KV260: kv260 before 2026, else kv260-2026-v3 or kv260-2026-v4), or load the bitstream of this description.',
  },
  DRIVER_COUNTERS_UNKNOWN: {
    number: 2043,
    meaning: 'The registers of the hardware counters answer as those of no known design.',
    remedy:
      'Compare bitstream and board description; to run such a design without counters, leave the `hwc` window out of its description.',
  },
  DRIVER_BOARD_UNKNOWN: {
    number: 2050,
    meaning: 'No board description of that name ships with the package.',
    remedy: 'Give one of the names listed, or the path of a .toml file.',
  },
  DRIVER_BOARD_FILE_INVALID: {
    number: 2051,
    meaning: 'A board description file cannot be read or does not describe a board.',
    remedy: 'Compare it with the files in boards/ of the package.',
  },
  DRIVER_BAD_VECTOR: {
    number: 2060,
    meaning: 'A golden vector or its index is damaged or not in the documented format.',
    remedy:
      'Copy the vectors again; the README of vectors has the format, and index.json the SHA-256 of the files that it lists one for.',
  },
  DRIVER_BAD_TRACE: {
    number: 2061,
    meaning: 'A trace is damaged or not in the documented format.',
    remedy: 'Record the trace again; docs/trace-format.md has the format.',
  },
  DRIVER_TRACE_MISMATCH: {
    number: 2062,
    meaning: 'A trace was recorded on a device of another kind.',
    remedy: 'Replay the trace on a device with the same revision and the same windows.',
  },
} as const satisfies Record<string, ErrorEntry>;
