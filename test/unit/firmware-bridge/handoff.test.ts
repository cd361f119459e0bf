import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { BoardDescription } from '../../../board/description.js';
import { loadBoardDescription, shippedBoardNames } from '../../../board/description-file.js';
import { PynqLlmError } from '../../../errors/index.js';
import { formatBoardFile } from '../../../firmware-bridge/handoff/board-toml.js';
import { describeDesign } from '../../../firmware-bridge/handoff/describe-design.js';
import { readHandoff } from '../../../firmware-bridge/handoff/handoff.js';
import { inspectFirmware } from '../../../firmware-bridge/inspect.js';
import { type HandoffOptions, handoff } from './support/handoffs.js';

const kv260 = loadBoardDescription('kv260');
const z1 = loadBoardDescription('pynq-z1');
const describeAs = (options: HandoffOptions, board: BoardDescription) =>
  describeDesign(readHandoff(handoff(options)), board);

describe('the handoff of the published KV260 design', () => {
  it('has the windows, lanes and LENGTH bits of the shipped description', () => {
    const board = describeAs({}, kv260);
    expect(board.windows).toEqual(kv260.windows);
    expect(board.dma).toEqual({ lanes: 4, lengthBits: 26 });
  });

  it('has the clock that its core is built for, and which clock of the processor that is', () => {
    expect(describeAs({}, kv260)).toMatchObject({ clockHz: 199_998_001, fpga: { part: 'xck26', clock: 0 } });
  });

  it('orders the lanes by the streams that they feed, not by the names of the engines', () => {
    const board = describeAs({ streams: [2, 1, 4, 3] }, kv260);
    expect(board.windows.dma0).toEqual(kv260.windows.dma1);
    expect(board.windows.dma2).toEqual(kv260.windows.dma3);
  });

  it('keeps what a handoff does not know from the board', () => {
    const board = describeAs({}, kv260);
    expect(board).toMatchObject({ dmaMemory: kv260.dmaMemory, capacity: kv260.capacity });
  });
});

describe('the handoff of a Zynq-7000 design', () => {
  it('with one lane and no counters is a v1 that declares no hwc window', () => {
    const options = {
      architecture: 'zynq',
      lanes: 1,
      counters: false,
      base: 0x43c0_0000,
      lengthBits: 23,
    } as const;
    const board = describeAs({ ...options, vivado: '2017.4', clockHz: 100_000_000 }, z1);
    expect(board).toMatchObject({ revision: 'v1', clockHz: 100_000_000, dma: { lanes: 1, lengthBits: 23 } });
    expect(Object.keys(board.windows)).toEqual(['control', 'dma0']);
    expect(board.fpga).toEqual({ part: '7z020', clock: 0, referenceHz: 50_000_000 });
  });

  it('is refused for a KV260', () => {
    expect(() => describeAs({ architecture: 'zynq' }, kv260)).toThrow(/FIRMWARE_WRONG_PART/);
  });
});

describe('a design that the driver cannot use', () => {
  it.each<[string, HandoffOptions, RegExp]>([
    ['three lanes', { lanes: 3 }, /3 AXI DMA engines/],
    ['scatter-gather', { scatterGather: true }, /axi_dma_0 has c_include_sg = 1/],
    ['LENGTH bits that are too few', { lengthBits: 8 }, /c_sg_length_width = 8/],
    ['two engines on one stream', { streams: [1, 1, 3, 4] }, /two DMA engines/],
    ['addresses above 4 GiB', { base: 0x10_0000_0000 }, /above 4 GiB/],
    ['a clock of no frequency', { clockHz: 0 }, /one clock of a known frequency/],
  ])('with %s is refused and named', (_, options, message) => {
    expect(() => describeAs(options, kv260)).toThrow(message);
  });
});

describe('a version that is not known', () => {
  it.each([
    ['of Vivado to come', { vivado: '2031.2' }],
    ['of Vivado long gone', { vivado: '2014.2' }],
    ['of the format', { format: '2.0' }],
    ['that is no version', { vivado: 'latest' }],
  ])('%s is an error', (_, options) => {
    expect(() => readHandoff(handoff(options))).toThrow(/FIRMWARE_HANDOFF_VERSION/);
  });
});

describe('hostile XML', () => {
  const text = handoff().toString();
  it.each([
    [
      'an entity bomb',
      text.replace('<EDKSYSTEM', '<!DOCTYPE x [<!ENTITY a "aaaa">]>\n<EDKSYSTEM'),
      /document type/,
    ],
    ['an external entity', `<!DOCTYPE x SYSTEM "file:///etc/passwd">${text}`, /document type/],
    ['a tag that never ends', text.slice(0, 900), /FIRMWARE_HANDOFF_INVALID/],
    ['a thousand nested elements', '<a>'.repeat(1000) + '</a>'.repeat(1000), /FIRMWARE_HANDOFF_INVALID/],
    ['another document', '<html><body/></html>', /no element EDKSYSTEM/],
    ['an address that is none', text.replace('0xA0010000', '0xZZ'), /BASEVALUE is "0xZZ"/],
    ['a range that ends before it begins', text.replace('0xA001FFFF', '0x10'), /before it begins/],
    ['no processing system', text.replace('zynq_ultra_ps_e', 'microblaze'), /0 processing systems/],
    [
      'elements named like parts of objects',
      '<__proto__><EDKSYSTEM/></__proto__>',
      /FIRMWARE_HANDOFF_INVALID/,
    ],
  ])('with %s is refused', (_, xml, message) => {
    expect(() => readHandoff(Buffer.from(xml))).toThrow(message);
  });

  it('ends in a typed error wherever it is damaged', () => {
    const bytes = handoff();
    const place = fc.nat({ max: bytes.length - 1 });
    fc.assert(
      fc.property(place, fc.nat({ max: 255 }), fc.nat({ max: 400 }), (at, value, removed) => {
        const damaged = Buffer.concat([
          bytes.subarray(0, at),
          Buffer.of(value),
          bytes.subarray(at + removed),
        ]);
        try {
          describeDesign(readHandoff(damaged), kv260);
        } catch (error) {
          expect(error).toBeInstanceOf(PynqLlmError);
        }
      }),
      { numRuns: 60 },
    );
  });
});

describe('a board file', () => {
  const reread = (text: string) => {
    const path = join(mkdtempSync(join(tmpdir(), 'board-')), 'board.toml');
    writeFileSync(path, text);
    return loadBoardDescription(path);
  };

  it.each(shippedBoardNames())('written from the description of %s reads back as the same', (name) => {
    const board = loadBoardDescription(name);
    expect(reread(formatBoardFile(board, `from ${name}`))).toEqual(board);
  });

  it('that a handoff becomes is a valid description', () => {
    const facts = inspectFirmware(handoff());
    if (facts.format !== 'hwh') throw new Error('not taken for a handoff');
    expect(reread(facts.boardFile)).toEqual(facts.board);
    expect(facts.board.name).toBe('design-1');
  });
});
