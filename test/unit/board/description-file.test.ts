import { mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { loadBoardDescription, shippedBoardNames } from '../../../board/description-file.js';

const z1 = readFileSync('boards/pynq-z1.toml', 'utf8');

function fileWith(text: string): string {
  const path = join(mkdtempSync(join(tmpdir(), 'board-file-')), 'board.toml');
  writeFileSync(path, text);
  return path;
}

describe('board descriptions', () => {
  it.each(shippedBoardNames())('the shipped description %s is valid and named like its file', (name) => {
    expect(loadBoardDescription(name).name).toBe(name);
  });

  it('a PYNQ-Z1 has the published addresses, 512 MiB and 128 MiB of DMA memory', () => {
    const board = loadBoardDescription('pynq-z1');
    expect(board.windows).toMatchObject({ control: { base: 0x43c00000 }, dma3: { base: 0x40430000 } });
    expect(board.memoryBytes).toBe(512 * 2 ** 20);
    expect(board.dmaMemory).toEqual([{ base: 0x18000000, size: 128 * 2 ** 20 }]);
  });

  it('an unknown name is an error that lists the known ones', () => {
    expect(() => loadBoardDescription('pynq-z9')).toThrow(/DRIVER_BOARD_UNKNOWN.*pynq-z1-v1/);
  });

  it.each([
    ['a missing window', z1.replace(/^dma2 .*$/m, ''), /windows.dma2 is missing/],
    ['regions that overlap', z1.replace('base = 0x43C1_0000', 'base = 0x43C0_0000'), /overlaps/],
    ['a LENGTH of 40 bits', z1.replace(/^length_bits = 23/m, 'length_bits = 40'), /dma.length_bits/],
    ['one lane for v3', z1.replace(/^lanes = 4/m, 'lanes = 1'), /dma.lanes: revision v3 has 4/],
    ['an unknown key', `colour = "blue"\n${z1}`, /colour/],
    ['what is not TOML', '{{{', /BOARD_FILE_INVALID/],
  ])('%s is refused by name', (_, text, message) => {
    expect(() => loadBoardDescription(fileWith(text))).toThrow(message);
  });
});
