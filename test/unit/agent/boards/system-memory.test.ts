import { expect, it } from 'vitest';
import { systemMemoryOf } from '../../../../agent/boards/system-memory.js';

it.each([
  ['mock:pynq-z1-360', true],
  ['mock:pynq-z1-360?memory=reserved', false],
  ['linux:pynq-z1-360', false],
])('of %s has DMA memory in it: %s', (url, isMock) => {
  expect(systemMemoryOf(url)().isMock).toBe(isMock);
});
