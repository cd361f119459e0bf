import { mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { loadBoardDescription, shippedBoardNames, sizesOfBoard } from '../../../board/description-file.js';

const z1 = readFileSync('boards/pynq-z1.toml', 'utf8');
const v3of2026 = readFileSync('boards/kv260-2026-v3.toml', 'utf8');

function fileWith(text: string): string {
  const path = join(mkdtempSync(join(tmpdir(), 'board-file-')), 'board.toml');
  writeFileSync(path, text);
  return path;
}

describe('board descriptions', () => {
  it.each(shippedBoardNames())('the shipped description %s is valid and named like its file', (name) => {
    expect(loadBoardDescription(name).name).toBe(name);
  });

  it('a board has those of its DMA memory beside it, and no others', () => {
    const names = (name: string) => sizesOfBoard(name).map((board) => board.name);
    expect(names('pynq-z1-360')).toEqual(['pynq-z1', 'pynq-z1-128', 'pynq-z1-256', 'pynq-z1-360']);
    expect(names('pynq-z1-v1')).toEqual(['pynq-z1-v1']);
    expect(names('my-own')).toEqual([]);
  });

  it('a PYNQ-Z1 has the published addresses, 512 MiB and 128 MiB of DMA memory', () => {
    const board = loadBoardDescription('pynq-z1');
    expect(board.windows).toMatchObject({ control: { base: 0x43c00000 }, dma3: { base: 0x40430000 } });
    expect(board.memoryBytes).toBe(512 * 2 ** 20);
    expect(board.dmaMemory).toEqual([{ base: 0x18000000, size: 128 * 2 ** 20 }]);
  });

  it('a board says nothing of its counters where they are as before 2026', () => {
    expect(loadBoardDescription('pynq-z1').hwc).toEqual({ layout: 'reset-first', monitors: 15 });
    expect(loadBoardDescription('pynq-z1-v1').hwc).toEqual({ layout: 'reset-first', monitors: 5 });
  });

  it('a file from before there were two timings has the one of its revision', () => {
    const without = (name: string) =>
      readFileSync(`boards/${name}.toml`, 'utf8').replace(/^timing = .*\n/m, '');
    expect(without('pynq-z1')).not.toContain('timing');
    const timingOf = (text: string) => {
      const { timing, unpack } = loadBoardDescription(fileWith(text));
      return [timing, unpack];
    };
    expect(timingOf(without('pynq-z1'))).toEqual(['synthesised', 'words']);
    expect(timingOf(without('pynq-z1-v1'))).toEqual(['systemc', 'words']);
    expect(timingOf(z1.replace('timing = "synthesised"', 'timing = "systemc"'))).toEqual([
      'systemc',
      'words',
    ]);
    const v1 = `timing = "synthesised"\n${without('pynq-z1-v1')}`;
    expect(() => loadBoardDescription(fileWith(v1))).toThrow(
      /DRIVER_BOARD_FILE_INVALID.*timing: of v1 only systemc/,
    );
  });

  it('a KV260 of 2026 has its counters, its DMA engines and devices to allocate', () => {
    const { dma, hwc, dmaDevices, dmaMemory, fpga } = loadBoardDescription('kv260-2026-v4');
    expect(hwc).toEqual({ layout: 'reset-last', monitors: 14 });
    expect(dma).toEqual({ lanes: 4, lengthBits: 26, alignment: 4, addressBits: 32, interrupts: false });
    expect(dmaDevices).toMatchObject({ kind: 'u-dma-buf', inBytes: 64 << 20, outBytes: 16 << 20 });
    expect(dmaDevices?.names).toEqual([...Array(8).keys()].map((i) => `udmabuf${i}`));
    expect(dmaMemory.slice(0, 3)).toEqual([
      { base: 0x3800_0000, size: 64 << 20 },
      { base: 0x3c00_0000, size: 16 << 20 },
      { base: 0x3d00_0000, size: 64 << 20 },
    ]);
    expect(dmaMemory).toHaveLength(8);
    expect(fpga?.bitstreamMd5).toBe('86ca50aa85185c5e109f8728000ab8a2');
  });

  it('an unknown name is an error that lists the known ones', () => {
    expect(() => loadBoardDescription('pynq-z9')).toThrow(/DRIVER_BOARD_UNKNOWN.*pynq-z1-v1/);
  });

  it.each([
    ['a missing window', z1.replace(/^dma2 .*$/m, ''), /windows.dma2 is missing/],
    ['regions that overlap', z1.replace('base = 0x43C1_0000', 'base = 0x43C0_0000'), /overlaps/],
    ['a LENGTH of 40 bits', z1.replace(/^length_bits = 23/m, 'length_bits = 40'), /dma.length_bits/],
    ['one lane for v3', z1.replace(/^lanes = 4/m, 'lanes = 1'), /dma.lanes: revision v3 has 4/],
    ['monitors that no design has', v3of2026.replace('monitors = 13', 'monitors = 14'), /hwc: .*13 monitors/],
    ['a layout that a revision never had', v3of2026.replace('"v3"', '"v4"'), /hwc: .*14 monitors/],
    ['devices for some lanes only', v3of2026.replace('"udmabuf7"', ''), /names: two different ones a lane/],
    ['a device twice', v3of2026.replace('"udmabuf7"', '"udmabuf0"'), /names: two different ones a lane/],
    ['a device that is a path', v3of2026.replace('"udmabuf7"', '"../x"'), /dma_memory/],
    ['an unknown key', `colour = "blue"\n${z1}`, /colour/],
    ['what is not TOML', '{{{', /BOARD_FILE_INVALID/],
  ])('%s is refused by name', (_, text, message) => {
    expect(() => loadBoardDescription(fileWith(text))).toThrow(message);
  });
});
