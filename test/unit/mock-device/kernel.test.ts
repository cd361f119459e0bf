import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { CORE_BLOCK_BYTES, CORE_TYPES, multiplyBlockRow, Q8K_BYTES } from '../../../gguf/index.js';
import { contents } from '../board/contents.js';
import { bitMismatches, bytesOf, concat, laneWords, loadWeightsHeader, Poker } from './harness.js';

/** Bytes from a seed: every bit pattern of scales, halves and quants turns up, NaN and infinities included. */
function randomBytes(length: number, seed: number): Uint8Array {
  let state = seed | 1;
  return Uint8Array.from({ length }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) | 0;
    return state >>> 24;
  });
}

describe('the kernels', () => {
  const pokers = [new Poker('v1'), new Poker('v3')];

  it.each(CORE_TYPES)(
    'give the same bits as the reference for any blocks of type %i and any shape',
    (type) => {
      const shape = {
        kb: fc.integer({ min: 1, max: 4 }),
        rows: fc.integer({ min: 1, max: 6 }),
        columns: fc.integer({ min: 1, max: 19 }),
      };
      fc.assert(
        fc.property(
          fc.record({ ...shape, seed: fc.integer(), lanes: fc.constantFrom(0, 1) }),
          ({ kb, rows, columns, seed, lanes }) => {
            const poker = pokers[lanes];
            poker.board.resetLogic();
            poker.startChannels();
            const weights = randomBytes(rows * kb * CORE_BLOCK_BYTES[type], seed);
            const inputs = randomBytes(columns * kb * Q8K_BYTES, seed + 1);
            const streams = laneWords(type, weights, poker.board.description.dma.lanes);
            poker.send(0, concat(bytesOf([0x11, kb, rows, columns, type, kb * columns]), inputs));
            poker.sent(0);
            const out = poker.arm(rows * columns * 4);
            for (const [lane, stream] of streams.entries()) if (lane > 0) poker.send(lane, stream);
            const header = bytesOf(loadWeightsHeader(poker.revision, type, streams, rows * kb));
            poker.send(0, concat(header, streams[0], bytesOf([0x04, 0, 0, rows, columns])));
            expect(poker.received()).toBe(true);
            out.giveToCpu();
            const expected = new Float32Array(rows * columns);
            for (let n = 0; n < columns; n++)
              for (let m = 0; m < rows; m++)
                expected[n * rows + m] = multiplyBlockRow(
                  type,
                  weights,
                  m * kb * CORE_BLOCK_BYTES[type],
                  inputs,
                  n * kb * Q8K_BYTES,
                  kb,
                );
            expect(
              bitMismatches(new Uint32Array(contents(out).buffer), new Uint32Array(expected.buffer)),
            ).toBe(0);
            poker.freeBuffers();
          },
        ),
        { numRuns: 25 },
      );
    },
  );
});
