import { describe, expect, it } from 'vitest';
import { DMASR } from '../../../board/registers/axi-dma.js';
import { exactExp } from '../../reference/softmax/exact-exp.js';
import { type SoftmaxVector, softmaxVectors } from '../../reference/softmax/vectors.js';
import { contents } from '../board/contents.js';
import {
  bitMismatches,
  bytesOf,
  concat,
  laneWords,
  loadWeightsHeader,
  Poker,
  readJson,
  readVector,
} from './harness.js';

const SOFT_MAX = 0x20;
const MASK = 0x01;
const HALF_MASK = 0x02;
const SINK = 0x04;
const FIRST = 0x08;
const LAST = 0x10;
const SECOND_PASS = 0x20;
const ONE = 0x3f80_0000;
const CONTROL_UNIT = 0;
const SOFTMAX_UNIT = 13;

const words = (hex: string): number[] => hex.split(' ').map((word) => Number.parseInt(word, 16));
const floats = (values: readonly number[]): number[] => [
  ...new Uint32Array(Float32Array.from(values).buffer),
];
const vectors = readJson<readonly SoftmaxVector[]>('softmax.json');

interface Tile {
  readonly flags: number;
  readonly elements: readonly number[];
  readonly mask?: readonly number[];
  readonly scale?: number;
  readonly slope?: number;
  readonly sink?: number;
}

function instruction({ flags, elements, mask = [], scale = ONE, slope = ONE, sink = 0 }: Tile): number[] {
  return [SOFT_MAX, elements.length, scale, slope, flags, sink, ...elements, ...mask];
}

/** Sends a tile and waits until the core has taken it. */
function take(poker: Poker, tile: Tile): void {
  poker.send(0, bytesOf(instruction(tile)));
  expect(poker.sent(0)).toBe(true);
}

/** Sends a tile of pass 2. @returns its results: LENGTH tells where TLAST came */
function results(poker: Poker, tile: Tile): Uint32Array {
  const room = poker.arm(4096);
  take(poker, tile);
  expect(poker.received()).toBe(true);
  room.giveToCpu();
  return new Uint32Array(contents(room, 0, poker.read(0, 'S2MM_LENGTH')).buffer);
}

/** A row of one tile. */
function softmax(poker: Poker, elements: readonly number[]): Uint32Array {
  take(poker, { flags: FIRST | LAST, elements });
  return results(poker, { flags: SECOND_PASS, elements });
}

const settle = (poker: Poker) => poker.board.waitUntil(() => false, 100);
const faultsOf = (poker: Poker) => poker.board.takeFaults().map(({ name }) => name);
const [A, B, C] = [floats([1, 2, 3]), floats([0.5, -1, 4]), floats([7])];

describe('the SOFT_MAX unit', () => {
  it('has golden vectors that its second implementation makes again', () => {
    expect(vectors).toEqual(softmaxVectors());
  });

  it.each(vectors)('gives the golden bits and TLAST with each tile: $name', (vector) => {
    const poker = new Poker('v4');
    const { width } = vector;
    const logits = words(vector.elements);
    const mask = vector.mask && words(vector.mask.values);
    const common = {
      scale: words(vector.scale)[0],
      slope: words(vector.slope)[0],
      sink: vector.sink === undefined ? 0 : words(vector.sink)[0],
    };
    const row = (mask ? MASK : 0) | (vector.mask?.type === 'f16' ? HALF_MASK : 0) | (vector.sink ? SINK : 0);
    const given: number[] = [];
    for (let start = 0; start < logits.length; start += width) {
      const tiles = Array.from({ length: Math.ceil(width / 256) }, (_, i) => {
        const [from, to] = [start + i * 256, start + Math.min((i + 1) * 256, width)];
        return { ...common, elements: logits.slice(from, to), ...(mask && { mask: mask.slice(from, to) }) };
      });
      tiles.forEach((tile, i) => {
        const place = (i === 0 ? FIRST : 0) | (i === tiles.length - 1 ? LAST : 0);
        take(poker, { ...tile, flags: row | place });
      });
      for (const tile of tiles) {
        const packet = results(poker, { ...tile, flags: row | SECOND_PASS });
        expect(packet).toHaveLength(tile.elements.length);
        given.push(...packet);
      }
    }
    expect(bitMismatches(Uint32Array.from(given), Uint32Array.from(words(vector.expect)))).toBe(0);
    expect(given).toHaveLength(logits.length);
    settle(poker);
    expect(poker.status()).toEqual([1, 1, 1, 1, 0, 0, 0, 0]);
    expect(faultsOf(poker)).toEqual([]);
  });

  it('gives what a softmax is', () => {
    const row = [0.1, -2, 3.5, 3.4];
    const given = new Float32Array(softmax(new Poker('v4'), floats(row)).buffer);
    const sum = row.reduce((total, x) => total + Math.exp(x), 0);
    for (const [i, x] of row.entries()) expect(given[i]).toBeCloseTo(Math.exp(x) / sum, 6);
  });

  it('gives nothing for no elements, not even TLAST', () => {
    const poker = new Poker('v4');
    poker.arm(64);
    take(poker, { flags: FIRST | LAST, elements: [] });
    take(poker, { flags: SECOND_PASS, elements: [] });
    expect(poker.received(100)).toBe(false);
    take(poker, { flags: FIRST | LAST, elements: A });
    take(poker, { flags: SECOND_PASS, elements: A });
    expect(poker.received()).toBe(true);
    expect(poker.read(0, 'S2MM_LENGTH')).toBe(12);
  });

  it('uses maximum and reciprocal of the row before where a pass 2 has no pass 1', () => {
    const poker = new Poker('v4');
    const [, , greatest] = softmax(poker, A);
    const [again, beyond] = results(poker, { flags: SECOND_PASS, elements: floats([3, 4]) });
    expect(again).toBe(greatest);
    const [reciprocal] = new Float32Array(Uint32Array.of(greatest).buffer);
    expect(beyond).toBe(floats([Math.fround(exactExp(1)) * reciprocal])[0]);
  });

  it('keeps a row through the MatMul between its passes', () => {
    const poker = new Poker('v4');
    const expected = softmax(new Poker('v4'), B);
    take(poker, { flags: FIRST | LAST, elements: B });
    poker.arm(4);
    poker.send(0, bytesOf([0x14, 0, 0, 0, 3, 0, 0, 1, 1]));
    expect(poker.received()).toBe(true);
    expect(results(poker, { flags: SECOND_PASS, elements: B })).toEqual(expected);
  });

  it('takes the low half of a word for an fp16 mask', () => {
    const elements = floats([1, 1]);
    const given = (mask: readonly number[]) => {
      const poker = new Poker('v4');
      take(poker, { flags: MASK | HALF_MASK | FIRST | LAST, elements, mask });
      return results(poker, { flags: MASK | HALF_MASK | SECOND_PASS, elements, mask });
    };
    expect(given([0xffff_3c00, 0xfc00])).toEqual(given([0x3c00, 0xfc00]));
    expect([...given([0x3c00, 0xfc00])]).toEqual(floats([1, 0]));
  });

  it('ignores the bits of an opcode above its own', () => {
    const poker = new Poker('v4');
    const [opcode, ...rest] = instruction({ flags: FIRST | LAST, elements: C });
    poker.send(0, bytesOf([(opcode | 0xffff_ffc0) >>> 0, ...rest]));
    expect(poker.sent(0)).toBe(true);
    expect([...results(poker, { flags: SECOND_PASS, elements: C })]).toEqual([ONE]);
  });

  it('takes its words however they are split over transfers', () => {
    const poker = new Poker('v4');
    const all = [
      ...instruction({ flags: FIRST | LAST, elements: A }),
      ...instruction({ flags: SECOND_PASS, elements: A }),
    ];
    const room = poker.arm(12);
    for (let at = 0; at < all.length; at += 4) {
      poker.send(0, bytesOf(all.slice(at, at + 4)));
      expect(poker.sent(0)).toBe(true);
    }
    poker.received(1);
    room.giveToCpu();
    expect(new Uint32Array(contents(room).buffer)).toEqual(softmax(new Poker('v4'), A));
  });

  it('leaves its results on the way out until a transfer takes them, in order', () => {
    const poker = new Poker('v4');
    const right = [A, B].map((elements) => softmax(new Poker('v4'), elements));
    for (const elements of [A, B]) {
      take(poker, { flags: FIRST | LAST, elements });
      take(poker, { flags: SECOND_PASS, elements });
    }
    settle(poker);
    expect(poker.status()[CONTROL_UNIT]).toBe(1);
    for (const packet of right) {
      const room = poker.arm(64);
      expect(poker.received()).toBe(true);
      room.giveToCpu();
      expect(poker.read(0, 'S2MM_LENGTH')).toBe(12);
      expect(new Uint32Array(contents(room, 0, 12).buffer)).toEqual(packet);
    }
    expect(faultsOf(poker)).toEqual([]);
  });

  it('waits, busy, while the way out is full', () => {
    const poker = new Poker('v4');
    const tiles = 2300;
    const tile = instruction({ flags: SECOND_PASS, elements: Array(256).fill(0) });
    poker.send(0, bytesOf(Array.from({ length: tiles }, () => tile).flat()));
    expect(poker.sent(0, 100_000)).toBe(false);
    expect(poker.status()[CONTROL_UNIT]).toBe(7);
    let packets = 0;
    const room = poker.arm(1024);
    while (poker.received(1000)) {
      packets++;
      poker.write(0, 'S2MM_DMASR', DMASR.IOC_IRQ);
      poker.write(0, 'S2MM_LENGTH', room.byteLength);
    }
    expect(packets).toBe(tiles);
    expect(poker.status()[CONTROL_UNIT]).toBe(1);
    expect(faultsOf(poker)).toEqual([]);
  });
});

describe('cycles of SOFT_MAX', () => {
  it.each([
    ['pass 1', FIRST | LAST, 8],
    ['pass 1 with a mask', MASK | FIRST | LAST, 9],
    ['pass 2', SECOND_PASS, 2],
    ['pass 2 with a mask', MASK | SECOND_PASS, 3],
  ])('are, in the unit and in the control unit that waits for it, in %s', (_, flags, perElement) => {
    const poker = new Poker('v4');
    const elements = floats(Array(100).fill(1));
    poker.setTarget(CONTROL_UNIT, 7);
    poker.setTarget(SOFTMAX_UNIT, 1);
    poker.resetCounters();
    poker.arm(4096);
    take(poker, { flags, elements, ...((flags & MASK) !== 0 && { mask: elements }) });
    settle(poker);
    expect([poker.count(CONTROL_UNIT), poker.count(SOFTMAX_UNIT)]).toEqual([
      100 * perElement,
      100 * perElement,
    ]);
    expect(poker.board.window('hwc').read32(poker.counters.registers[SOFTMAX_UNIT].state)).toBe(0);
  });

  it('grow by the time that words are late', () => {
    const poker = new Poker('v4');
    const all = instruction({ flags: FIRST | LAST, elements: floats(Array(100).fill(1)) });
    poker.setTarget(SOFTMAX_UNIT, 1);
    poker.resetCounters();
    poker.send(0, bytesOf(all.slice(0, 56)));
    poker.sent(0);
    const { cycles } = poker.board;
    poker.board.waitUntil(() => false, 10);
    poker.send(0, bytesOf(all.slice(56)));
    const late = poker.board.cycles - cycles;
    settle(poker);
    // The words after a seam come a few cycles later than without one.
    expect(poker.count(SOFTMAX_UNIT) - 800 - late).toBe(3 - 1);
  });
});

describe('an ill-formed SOFT_MAX', () => {
  it('of more elements than the unit holds stops the core', () => {
    const poker = new Poker('v4');
    poker.send(0, bytesOf([SOFT_MAX, 257, ONE, ONE, FIRST | LAST, 0]));
    settle(poker);
    expect(poker.board.takeFaults()).toEqual([
      { name: 'capacity-exceeded', detail: 'SOFT_MAX of 257 elements; the unit holds 256' },
    ]);
    expect(poker.status()[CONTROL_UNIT]).toBe(7);
    expect(poker.board.window('hwc').read32(poker.counters.registers[SOFTMAX_UNIT].state)).toBe(1);
    poker.board.resetLogic();
    poker.startChannels();
    expect([...softmax(poker, C)]).toEqual([ONE]);
  });

  it.each([0x01, 0x02, 0x04, 0x10])(
    'that is not alone in its opcode word stops the core: with 0x%x',
    (bit) => {
      const poker = new Poker('v4');
      poker.send(0, bytesOf([SOFT_MAX | bit]));
      settle(poker);
      expect(faultsOf(poker)).toEqual(['hazard']);
    },
  );

  it('that lacks an operand, or an element, is named', () => {
    for (const missing of [1, 4]) {
      const poker = new Poker('v4');
      poker.send(0, bytesOf(instruction({ flags: FIRST | LAST, elements: A }).slice(0, -missing)));
      settle(poker);
      expect(poker.board.takeFaults()).toEqual([
        { name: 'stream-desynchronised', detail: expect.stringMatching(/^SOFT_MAX lacks 1 /) },
      ]);
    }
  });

  it('is none to other revisions: they ignore the bit and take its operands for opcodes', () => {
    const poker = new Poker('v3');
    const LOAD_INP = 1;
    poker.send(0, bytesOf([SOFT_MAX, 0, LOAD_INP]));
    expect(poker.sent(0)).toBe(true);
    settle(poker);
    expect(poker.board.takeFaults()).toEqual([
      { name: 'stream-desynchronised', detail: 'LOAD_INP lacks 1 of its operands' },
    ]);
  });
});

describe('a SOFT_MAX behind a COMPUTE whose results nothing took', () => {
  const vector = readVector('public_q3_00_gauss_small_M64_N1_K256.bin');
  const { type, kb, rows, columns, inputs, weights } = vector;

  function multiplyThen(tile: Tile): { poker: Poker; bits: Uint32Array; faults: readonly string[] } {
    const poker = new Poker('v4');
    const streams = laneWords(type, weights, 4);
    const out = poker.arm(rows * columns * 4);
    poker.send(0, concat(bytesOf([0x11, kb, rows, columns, type, kb * columns]), inputs));
    poker.sent(0);
    for (const [lane, stream] of streams.entries()) if (lane > 0) poker.send(lane, stream);
    const header = bytesOf(loadWeightsHeader('v4', type, streams, rows * kb));
    const compute = bytesOf([0x04, rows * kb, columns * kb, rows, columns]);
    poker.send(0, concat(header, streams[0], compute, bytesOf(instruction(tile))));
    poker.received(1000);
    poker.sent(0, 1000);
    const faults = faultsOf(poker);
    out.giveToCpu();
    return { poker, bits: new Uint32Array(contents(out).buffer), faults };
  }

  it('is a hazard where it has results: they would come between', () => {
    expect(multiplyThen({ flags: SECOND_PASS, elements: A }).faults).toEqual(['hazard']);
  });

  it('is none in pass 1', () => {
    const { poker, bits, faults } = multiplyThen({ flags: FIRST | LAST, elements: A });
    expect(faults).toEqual([]);
    expect(bitMismatches(bits, vector.results)).toBe(0);
    expect(results(poker, { flags: SECOND_PASS, elements: A })).toEqual(softmax(new Poker('v4'), A));
  });
});
