import type { ErrorEntry } from './entry.js';

/** Errors of mock-device/: numbers 3000 to 3999. */
export const MOCK_ERRORS = {
  MOCK_UNKNOWN_FAULT: {
    number: 3001,
    meaning: 'The mock has no fault of that name, or a number of its switch is out of range.',
    remedy: 'docs/mock-device.md lists the faults and their switches.',
  },
  MOCK_MEMORY_UNAVAILABLE: {
    number: 3002,
    meaning: "The mock could not reserve the address space of the board's DMA memory.",
    remedy: 'Close other mock boards, or use a board description with less DMA memory.',
  },
  MOCK_CLOSED: {
    number: 3003,
    meaning: 'The mock board was closed.',
    remedy: 'Open the device again.',
  },
  MOCK_KERNEL_UNSUPPORTED: {
    number: 3004,
    meaning:
      'This Node does not run WebAssembly with relaxed SIMD, which the kernels of the mock core use, or computes it wrong.',
    remedy: 'Use Node 20 or later, without flags that switch features of WebAssembly off.',
  },
} as const satisfies Record<string, ErrorEntry>;
