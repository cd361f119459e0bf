import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { KoffiMapper } from '../../linux-device/koffi-mapper.js';
import { temporaryDirectory } from './support/agent.js';
import { DMA_BASE, layOutBoard } from './support/mapped-board.js';
import { compileXrt, useXrt, XRT_SEEN } from './support/stand-in-xrt.js';
import { codeOf, type Sightings, useMappedBoard } from './support/use-mapped-board.js';

const folder = temporaryDirectory();
afterAll(() => folder[Symbol.dispose]());

/** Maps `length` bytes of a file of the board in `root`. */
const map = (root: string, path: string, offset: number, length: number) =>
  new KoffiMapper().map({ path: join(root, path), offset, length, cached: true });

describe.skipIf(process.platform !== 'linux')('a board whose registers and memory are mapped files', () => {
  let seen: Sightings;
  beforeAll(async () => {
    const root = join(folder.path, 'board');
    mkdirSync(root);
    seen = await useMappedBoard(root);
  });

  it('has its windows behind UIO, and only what UIO does not cover behind /dev/mem', () => {
    expect(seen.report).toMatchObject({
      memory: { kind: 'u-dma-buf', passedOver: [] },
      windows: { control: '/dev/uio0', dma0: '/dev/uio1', slcr: '/dev/mem' },
      interrupts: 0,
    });
  });

  it('has in the file what was written to a register, beyond 2 GiB too, and reads what is in the file', () => {
    expect(seen).toMatchObject({
      registerBack: 0xfedc_ba98,
      registerInFile: 0xfedc_ba98,
      levelShifters: 0xf,
      unlockInFile: 0xdf0d,
    });
  });

  it('has in the file what was written to DMA memory, whose caches are synchronised in whole lines', () => {
    expect(seen).toMatchObject({
      physicalAddress: DMA_BASE,
      memoryInFile: 0x5a5a_5a5a,
      forDevice: '0x0000000000000081',
      forCpu: '0x0000000000000081',
    });
  });

  it('keeps to the deadline of a wait', () => {
    expect(seen.waitedInVain).toBe(false);
  });

  it('lets a view that outlives the board reach neither file nor a hole, and refuses its registers', () => {
    expect(seen).toMatchObject({
      memoryAfterClose: 'LINUX_CLOSED',
      memoryInFileAfterClose: 0x5a5a_5a5a,
      accessAfterClose: 'LINUX_CLOSED',
    });
  });

  it.each([
    ['silent', 'DRIVER_DMA_TIMEOUT', /dma0 MM2S sent 0 of 316 bytes \(no status bit\)/],
    [
      'decode-error',
      'DRIVER_DMA_DECODE_ERROR',
      /dma0 MM2S sent 0 of 316 bytes \(HALTED DMA_DEC_ERR ERR_IRQ\)/,
    ],
  ])('tells of DMA engines that are %s, resets them, and does so again', (behaviour, code, text) => {
    expect(seen[behaviour]).toMatchObject({
      status: expect.arrayContaining(['load-unit: idle (1)']),
      error: expect.stringMatching(text),
      again: code,
    });
  });
});

describe.skipIf(process.platform !== 'linux')('a mapping', () => {
  const root = join(folder.path, 'refused');
  beforeAll(() => layOutBoard(root));

  it('beyond the end of a file is refused: an access there would kill the process', () => {
    expect(() => map(root, '/dev/uio1', 0, 0x1_1000)).toThrow(
      /LINUX_MAP_FAILED.*69632 bytes at 0x0 of .*\/dev\/uio1 cannot be mapped: the file has only 65536 bytes/,
    );
    expect(codeOf(() => map(root, '/dev/uio1', 0x1_0000, 4096))).toBe('LINUX_MAP_FAILED');
  });

  it("at an offset that is no page is refused with the kernel's reason", () => {
    expect(() => map(root, '/dev/uio1', 8, 4096)).toThrow(/LINUX_MAP_FAILED.*: EINVAL/);
  });

  it('of what is not there is refused', () => {
    expect(codeOf(() => map(root, '/dev/uio99', 0, 4096))).toBe('LINUX_OPEN_FAILED');
  });

  it('that was taken away twice took away nothing else', () => {
    const first = map(root, '/dev/uio1', 0, 4096);
    first.unmap();
    const second = map(root, '/dev/uio1', 0, 4096);
    first.unmap();
    second.words[4] = 77;
    expect(map(root, '/dev/uio1', 0, 4096).words[4]).toBe(77);
    expect(first.words[4]).toBe(0);
  });
});

describe('DMA memory of the Xilinx runtime, which a library of the same C interface stands in for', () => {
  it('has its address, goes to the device and comes back, where and when it is told to', ({ skip }) => {
    const library = compileXrt('cc', folder.path);
    if ('missing' in library) return skip(library.missing);
    const root = join(folder.path, 'xrt');
    layOutBoard(root);
    expect(useXrt(root, library.path)).toEqual(XRT_SEEN);
  });
});
