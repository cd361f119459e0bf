import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  coreTypeOf,
  dequantizeRow,
  GgmlType,
  multiplyBlockRow,
  Q8K_BYTES,
  quantizeQ8K,
  SUPER_BLOCK,
} from '../../gguf/index.js';
import { type BoardClient, type CoreWeightType, connect, quantizeWeights } from '../../sdk/index.js';
import { temporaryDirectory } from './support/agent.js';

const COLUMNS = 512;
const ROWS = 37;
const home = temporaryDirectory();
let board: BoardClient;
beforeAll(async () => {
  board = await connect('mock:', { storeDir: home.path });
});
afterAll(async () => {
  await board.close();
  home[Symbol.dispose]();
});

const values = (length: number, f: (i: number) => number) => Float32Array.from({ length }, (_, i) => f(i));
const weightsOf = (type: CoreWeightType) =>
  quantizeWeights(
    type,
    values(ROWS * COLUMNS, (i) => Math.sin(i * 0.37)),
    COLUMNS,
  );
const input = values(COLUMNS, (i) => Math.cos(i / 3));

describe('a MatMul of a client', () => {
  it.each(['Q2_K', 'Q3_K', 'Q4_K', 'Q5_K', 'Q6_K'] as const)(
    'of %s has the bits of the reference',
    async (type) => {
      const weights = weightsOf(type);
      const { results, coreCycles } = await board.device.matMul(weights, [
        input,
        values(COLUMNS, (i) => i - 256),
      ]);
      expect(results).toHaveLength(2);
      expect(coreCycles).toBeGreaterThan(1000);
      for (const [i, column] of [input, values(COLUMNS, (at) => at - 256)].entries()) {
        const blocks = new Uint8Array((COLUMNS / SUPER_BLOCK) * Q8K_BYTES);
        quantizeQ8K(column, 0, COLUMNS, blocks, 0);
        const bytes = weights.bytes.length / ROWS;
        const expected = values(ROWS, (row) =>
          multiplyBlockRow(
            coreTypeOf(GgmlType[type])!,
            weights.bytes,
            row * bytes,
            blocks,
            0,
            COLUMNS / SUPER_BLOCK,
          ),
        );
        expect(results[i]).toEqual(expected);
      }
      // Near what the weights are worth, too.
      const row = new Float32Array(COLUMNS);
      dequantizeRow(GgmlType[type], weights.bytes, COLUMNS, row);
      expect(results[0][0]).toBeCloseTo(
        row.reduce((sum, x, i) => sum + x * input[i], 0),
        0,
      );
    },
  );

  it('leaves models as they are, and no memory behind', async () => {
    const before = (await board.health()).dmaMemory;
    const model = await board.models.upload('models/tiny-stories-Q3_K_M.gguf');
    const text = () => model.generate('Once', { maxTokens: 6, temperature: 0 }).text();
    const alone = await text();
    const [, beside] = await Promise.all([board.device.matMul(weightsOf('Q4_K'), [input]), text()]);
    expect(beside).toBe(alone);
    await model.unload();
    expect((await board.health()).dmaMemory).toEqual(before);
  });

  it.each([
    ['inputs of another length', { inputs: [new Float32Array(256)] }, 'SDK_ARGUMENT'],
    ['no input', { inputs: [] }, 'SDK_ARGUMENT'],
    ['inputs that are no Float32Array', { inputs: [[1, 2, 3]] }, 'SDK_ARGUMENT'],
    ['an input that is not finite', { inputs: [values(COLUMNS, () => Number.NaN)] }, 'DRIVER_BAD_ARGUMENT'],
    [
      'too few bytes of weights',
      { weights: { ...weightsOf('Q4_K'), rows: ROWS + 1 } },
      'DRIVER_BAD_ARGUMENT',
    ],
    ['another type', { weights: { ...weightsOf('Q4_K'), type: 'F16' } }, 'SDK_ARGUMENT'],
  ])('refuses %s', async (_, changes, code) => {
    const { weights, inputs } = { weights: weightsOf('Q4_K'), inputs: [input], ...changes };
    await expect(board.device.matMul(weights as never, inputs as never)).rejects.toMatchObject({ code });
  });

  it('of what the core of v1 does not compute reliably is refused', async () => {
    await using v1 = await connect('mock:v1', { storeDir: home.path });
    await expect(v1.device.matMul(weightsOf('Q4_K'), [input])).rejects.toMatchObject({
      code: 'DRIVER_UNSUPPORTED_TENSOR',
    });
  });
});

describe('weights of one’s own', () => {
  it.each([
    [new Float32Array(100), 256],
    [new Float32Array(0), 256],
    [new Float32Array(300), 100],
  ])('of %j values in rows of %j are refused', (all, columns) => {
    expect(() => quantizeWeights('Q4_K', all, columns)).toThrow(
      expect.objectContaining({ code: 'SDK_ARGUMENT' }),
    );
  });
});
