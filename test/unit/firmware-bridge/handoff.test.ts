import { existsSync, mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
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
import { type HandoffFacts, inspectFirmware } from '../../../firmware-bridge/inspect.js';
import { type HandoffOptions, handoff } from './support/handoffs.js';

const kv260 = loadBoardDescription('kv260');
const z1 = loadBoardDescription('pynq-z1');
const describeAs = (options: HandoffOptions, board: BoardDescription) =>
  describeDesign(readHandoff(handoff(options)), board);
const factsOf = (bytes: Uint8Array, board?: string): HandoffFacts => {
  const facts = inspectFirmware(bytes, board);
  if (facts.format !== 'hwh') throw new Error('not taken for a handoff');
  return facts;
};
const folder = mkdtempSync(join(tmpdir(), 'board-'));
const reread = (text: string) => {
  const path = join(folder, 'board.toml');
  writeFileSync(path, text);
  return loadBoardDescription(path);
};
/** Handoffs lie beside the checkout on machines that have them. */
const sharedFile = (path: string) => `../shared/${path}`;
const WITHOUT_SHARED = !existsSync(sharedFile('cases'));

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
    ['a clock that no fabric has', { clockHz: 2_000_000_000 }, /one clock of a known frequency/],
    ['windows of no whole pages', { base: 0x9fff_f800 }, /whole pages of 4 KiB/],
    ['windows where the DMA memory is', { base: 0x4000_0000 }, /overlaps what comes next/],
    [
      'a wide memory side',
      { dmaParameters: { c_m_axi_s2mm_data_width: 64 } },
      /64 bits without c_include_s2mm_dre/,
    ],
    ['addresses of 16 bits', { dmaParameters: { c_addr_width: 16 } }, /c_addr_width = 16/],
    [
      'another core',
      { core: { type: 'MatMul', vlnv: 'xilinx:hls:MatMul:1.0' } },
      /no modules of type BFP_Acc/,
    ],
    ['a core that is none of ours by half', { core: { type: 'BFP_Acc2' } }, /no modules of type BFP_Acc/],
  ])('with %s is refused and named', (_, options, message) => {
    expect(() => describeAs(options, kv260)).toThrow(message);
  });
});

describe('the core', () => {
  it.each([
    ['its type', { type: 'BFP_Acc' }],
    ['its VLNV', { type: 'bd_0_core', vlnv: 'xilinx.com:hls:BFP_Acc:2.1' }],
  ])('is known by %s', (_, core) => {
    expect(describeAs({ core }, kv260).revision).toBe('v3');
  });

  it('is there once', () => {
    const [module] = /<MODULE INSTANCE="BFP_Acc"[\s\S]*?<\/MODULE>/.exec(handoff().toString())!;
    const twice = handoff()
      .toString()
      .replace('<MODULES>', `<MODULES>${module.replace('"BFP_Acc"', '"other"')}`);
    expect(() => readHandoff(Buffer.from(twice))).not.toThrow();
    expect(() => inspectFirmware(Buffer.from(twice))).toThrow(/it has 2 modules of type BFP_Acc/);
  });

  it('is what every DMA engine feeds', () => {
    const text = handoff()
      .toString()
      .replace('INSTANCE="BFP_Acc" PORT="S_AXIS_DATA3', 'INSTANCE="fifo" PORT="S_AXIS_DATA3');
    expect(() => inspectFirmware(Buffer.from(text))).toThrow(
      /axi_dma_2 does not go straight to the core BFP_Acc/,
    );
  });
});

describe('the DMA engines', () => {
  const without = { c_include_mm2s_dre: 0, c_include_s2mm_dre: 0, c_addr_width: 32 };
  const withEngine = {
    c_include_mm2s_dre: 1,
    c_include_s2mm_dre: 1,
    c_m_axi_mm2s_data_width: 64,
    c_addr_width: 40,
  };
  it.each<[string, HandoffOptions, object]>([
    [
      'without realignment, wide addresses and interrupts',
      { dmaParameters: without, interrupts: 'open' },
      { lanes: 4, lengthBits: 26, alignment: 4, addressBits: 32, interrupts: false },
    ],
    [
      'with all three',
      { dmaParameters: withEngine, interrupts: 'connected' },
      { lanes: 4, lengthBits: 26, interrupts: true },
    ],
    [
      'of which nothing is listed, as the board has them',
      {},
      { lanes: 4, lengthBits: 26, alignment: 4, addressBits: 32, interrupts: false },
    ],
  ])('%s', (_, options, dma) => {
    const base = loadBoardDescription('kv260-2026-v3');
    expect(describeAs(options, base).dma).toEqual(dma);
  });
});

describe('a version of Vivado', () => {
  it.each(['2014.2', '2017.2', '2024.2', '2025.2', '2025.2.1', '2031.2'])(
    '%s is read with a warning',
    (vivado) => {
      const { warnings, boardFile } = factsOf(handoff({ vivado }));
      expect(warnings[0]).toMatch(`Vivado ${vivado}: its handoffs were not seen yet`);
      expect(boardFile).toContain(`# ${warnings[0]}\n`);
    },
  );

  it.each(['2017.4', '2022.1', '2024.1', '2024.1.2'])('%s is read without', (vivado) => {
    expect(factsOf(handoff({ vivado })).warnings).toEqual([expect.stringContaining('Revision v3')]);
  });

  it.each([
    ['with another format', { format: '2.0' }],
    ['that is none', { vivado: 'latest' }],
  ])('%s is an error', (_, options) => {
    expect(() => readHandoff(handoff(options))).toThrow(/FIRMWARE_HANDOFF_VERSION/);
  });
});

describe('without a board that is named', () => {
  const v1 = { architecture: 'zynq', lanes: 1, clockHz: 100_000_000, base: 0x43c0_0000 } as const;
  it.each<[string, HandoffOptions, string]>([
    ['a KV260 at 200 MHz', {}, 'kv260-2026-v3'],
    ['a KV260 at 100 MHz', { clockHz: 100_000_000 }, 'kv260'],
    ['a Zynq-7000 with one lane', { ...v1, counters: false }, 'pynq-z1-v1'],
    ['a Zynq-7000 with four', { ...v1, lanes: 4 }, 'pynq-z1'],
  ])('the rest of %s is that of the shipped board most like it', (_, options, name) => {
    const { boardFile, board } = factsOf(handoff(options));
    const { dmaMemory, dmaDevices, revision } = loadBoardDescription(name);
    expect(boardFile).toContain(`capacity and weight types as ${name} has them`);
    expect(board).toMatchObject({ dmaMemory, revision, ...(dmaDevices && { dmaDevices }) });
  });

  it('the counters are said to be an assumption that the board is asked about, as is the revision', () => {
    const { boardFile, board } = factsOf(handoff());
    expect(boardFile).toMatch(
      /^# Revision v3 and the layout of the counters are an assumption.*driver probes both/m,
    );
    expect(board).toMatchObject({ revision: 'v3', hwc: { layout: 'reset-last', monitors: 13 } });
    // Its file and its timing are of another build.
    expect(board.fpga).toEqual({
      part: 'xck26',
      clock: 0,
      referenceHz: loadBoardDescription('kv260-2026-v3').fpga?.referenceHz,
    });
  });

  it('another revision is what the user names', () => {
    expect(factsOf(handoff(), 'kv260-2026-v4').board).toMatchObject({
      revision: 'v4',
      hwc: { layout: 'reset-last', monitors: 14 },
    });
  });
});

describe.skipIf(WITHOUT_SHARED)(
  `handoffs beside the checkout${WITHOUT_SHARED ? ' (../shared is not there)' : ''}`,
  () => {
    it('of the KV260 design of 2026 has the facts of its shipped description', () => {
      const { board, boardFile } = factsOf(readFileSync(sharedFile('fidelity/kria3_reduced.hwh')));
      const { name: _name, title: _title, fpga: _fpga, ...shipped } = loadBoardDescription('kv260-2026-v3');
      expect(board).toMatchObject(shipped);
      expect(reread(boardFile)).toEqual(board);
      // Its file and its timing are of another build.
      expect(board.fpga).toEqual({
        part: 'xck26',
        clock: 0,
        referenceHz: loadBoardDescription('kv260-2026-v3').fpga?.referenceHz,
      });
    });

    it.each([
      ['2017.2', 1],
      ['2024.1', 0],
      ['2024.2', 1],
      ['2025.2', 1],
    ])('of Vivado %s is a v1 board, with %i warnings', (vivado, warnings) => {
      const facts = factsOf(readFileSync(sharedFile(`cases/minimal-${vivado}.hwh`)));
      expect(facts.board).toMatchObject({ revision: 'v1', dma: { lanes: 1, lengthBits: 26 } });
      expect(facts.warnings).toHaveLength(warnings);
      expect(reread(facts.boardFile)).toEqual(facts.board);
    });
  },
);

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

  /** A board that can be read back, or an error of ours. */
  const boardOrTypedError = (bytes: Uint8Array) => {
    let facts: HandoffFacts | undefined;
    try {
      facts = factsOf(bytes, 'kv260');
    } catch (error) {
      expect(error).toBeInstanceOf(PynqLlmError);
    }
    if (facts) expect(reread(facts.boardFile)).toEqual(facts.board);
  };

  it('that lost the core, whose DMA engines still name it, is refused', () => {
    const text = handoff()
      .toString()
      .replace('"BFP_Acc" MODTYPE="BFP_Acc" VLNV="xilinx:hls:BFP_Acc:1.0"', '"x" MODTYPE="y"');
    expect(() => factsOf(Buffer.from(text))).toThrow(/FIRMWARE_HANDOFF_UNSUPPORTED/);
  });

  it('ends in a typed error or in a board wherever it is damaged', () => {
    const bytes = handoff();
    const place = fc.nat({ max: bytes.length - 1 });
    fc.assert(
      fc.property(place, fc.nat({ max: 255 }), fc.nat({ max: 400 }), (at, value, removed) =>
        boardOrTypedError(
          Buffer.concat([bytes.subarray(0, at), Buffer.of(value), bytes.subarray(at + removed)]),
        ),
      ),
      // The example lost the core's module; that was found by 2 of 20,000 runs.
      { seed: 1, numRuns: 400, examples: [[277, 184, 341]] },
    );
  });

  it('ends in a typed error or in a board whatever its attributes say', () => {
    const attributes = [
      ...handoff()
        .toString()
        .matchAll(/(?<==")[^"]*/g),
    ];
    const value = fc.oneof(
      fc.constantFrom(
        '',
        '0x0',
        '0xA0010000',
        '9'.repeat(20),
        'BFP_Acc',
        'axi_dma',
        '__proto__',
        '_TDATA',
        'a\nb = 1',
      ),
      fc.nat({ max: 2 ** 32 - 1 }).map((number) => `0x${number.toString(16)}`),
      fc.nat({ max: 40 }).map(String),
    );
    fc.assert(
      fc.property(fc.nat({ max: attributes.length - 1 }), value, (which, replacement) => {
        const { 0: old, index } = attributes[which]!;
        const text = handoff().toString();
        boardOrTypedError(Buffer.from(text.slice(0, index) + replacement + text.slice(index + old.length)));
      }),
      { seed: 1, numRuns: 400 },
    );
  });
});

describe('a board file', () => {
  it.each(shippedBoardNames())('written from the description of %s reads back as the same', (name) => {
    const board = loadBoardDescription(name);
    expect(reread(formatBoardFile(board, `from ${name}`))).toEqual(board);
  });

  it('that a handoff becomes is a valid description', () => {
    const facts = factsOf(handoff());
    expect(reread(facts.boardFile)).toEqual(facts.board);
    expect(facts.board.name).toBe('design-1');
  });
});
