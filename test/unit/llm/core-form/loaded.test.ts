import { join } from 'node:path';
import { createFsFromVolume, Volume } from 'memfs';
import { afterEach, describe, expect, it } from 'vitest';
import { loadBoardDescription } from '../../../../board/index.js';
import { Accelerator } from '../../../../driver/index.js';
import type { PackedFs } from '../../../../driver/packed/packed-file.js';
import { workingSizes } from '../../../../driver/working-memory.js';
import {
  fileSource,
  GgmlType,
  type GgufFile,
  multiplyBlockRow,
  openGguf,
  Q8K_BYTES,
  quantizeQ8K,
} from '../../../../gguf/index.js';
import { coreForm, RowConverter } from '../../../../llm/core-form/index.js';
import { KernelMemory } from '../../../../llm/kernels/kernels.js';
import { LinearGroup } from '../../../../llm/model/linear-group.js';
import { type LoadOptions, loadModel } from '../../../../llm/model/load-model.js';
import { MatrixInput } from '../../../../llm/model/matrix-input.js';
import { Random } from '../../../../maths/index.js';
import { openMockBoard } from '../../../../mock-device/index.js';
import { compareModel, readReference } from '../../../reference/compare.js';
import { logitsOf, syntheticGguf } from '../models.js';
import { expectSameBits } from '../same-bits.js';

const FOLDER = join('test', 'fixtures', 'families');
const Z1 = loadBoardDescription('pynq-z1');
const TOKENS = [1, 7, 200, 3, 90, 41];

const open: { close(): void }[] = [];
afterEach(() => {
  for (const each of open.splice(0)) each.close();
});

function onBoard(gguf: GgufFile, options: LoadOptions = {}, description = Z1) {
  const accelerator = new Accelerator(openMockBoard(description));
  const model = loadModel(gguf, { ...options, accelerator });
  open.push(model, accelerator);
  return model;
}

const expectAlike = (actual: readonly Float32Array[], expected: readonly Float32Array[]) => {
  for (const [i, logits] of actual.entries()) expectSameBits(logits, expected[i]);
};

/** Rows of no whole super-blocks, with forms of one part and of two in a group, and a tied output. */
const types = [GgmlType.Q4_0, GgmlType.Q8_0, GgmlType.Q4_0, GgmlType.F16];
const mixed = syntheticGguf((name) => types[name.length % types.length], {
  embedding: 96,
  feedForward: 288,
  heads: 4,
  kvHeads: 2,
  tiedOutput: true,
  vocabulary: 500,
});

describe('matrices that the core has in another form', () => {
  it('are multiplied to the bit as their blocks are, padded columns and both parts', () => {
    const [rows, columns, n] = [70, 288, 5];
    const random = new Random(9);
    const accelerator = new Accelerator(openMockBoard(Z1));
    const memory = new KernelMemory(MatrixInput.bytes(columns, n) + 4 * n * columns + 64);
    const input = new MatrixInput(memory, columns, n);
    const values = memory.floats(n * columns);
    for (let i = 0; i < values.length; i++) values[i] = random.nextDouble() - 0.5;
    const padded = new Float32Array(512);
    const blocks = new Uint8Array(n * 2 * Q8K_BYTES);
    for (let column = 0; column < n; column++) {
      padded.set(values.subarray(column * columns, (column + 1) * columns));
      quantizeQ8K(padded, 0, 512, blocks, column * 2 * Q8K_BYTES);
    }
    const members = ([1, 2] as const).map((parts) => {
      const type = parts === 1 ? GgmlType.MXFP4 : GgmlType.F32;
      const form = coreForm(type, columns, 'all')!;
      const converter = new RowConverter(columns);
      const made = Array.from({ length: rows }, () => {
        const row =
          parts === 1
            ? Uint8Array.from({ length: (columns / 32) * 17 }, (_, i) =>
                i % 17 ? Math.floor(256 * random.nextDouble()) : 120,
              )
            : new Uint8Array(Float32Array.from({ length: columns }, () => random.nextDouble() - 0.5).buffer);
        return converter.convert({ type, columns }, form, row).slice();
      });
      const program = accelerator.load(
        {
          name: `of ${parts}`,
          type: form.type,
          rows,
          columns: form.columns,
          readRows: (first, count, into) => into.set(Buffer.concat(made.slice(first, first + count))),
        },
        'resident',
      );
      return { program, parts, made, output: new Float32Array(n * rows) };
    });
    const group = new LinearGroup(columns, members, { accelerator, input, cpuWork: { multiplyAdds: 0 } });
    expect(group.blocksAddress).toBe(0);
    group.multiply(values, n);
    for (const { parts, made, output } of members)
      for (let column = 0; column < n; column++) {
        const one = blocks.subarray(column * 2 * Q8K_BYTES, (column + 1) * 2 * Q8K_BYTES);
        const all = Buffer.concat(Array.from({ length: parts }, () => one));
        const expected = made.map((row) => multiplyBlockRow(6, row, 0, all, 0, 2 * parts));
        expectSameBits(output.subarray(column * rows, (column + 1) * rows), Float32Array.from(expected));
      }
    accelerator.close();
  });

  it.each(['padded', 'all'] as const)('by %s give the same bits alone and together', (coreTypes) => {
    const model = onBoard(mixed, { coreTypes });
    const alone = logitsOf(model, TOKENS, false);
    expectAlike(logitsOf(model, TOKENS), alone);
    const onCore = model.placement.tensors.filter(({ placement }) => placement === 'resident');
    expect(onCore.some(({ form }) => form === 'Q6_K')).toBe(true);
    expect(onCore.some(({ form }) => form === '2 x Q6_K')).toBe(true);
    expect(model.placement.totals.cpu.tensors > 0).toBe(coreTypes === 'padded');
  });

  it('give the same bits staged, on a board with no memory for them, and without the caller’s files', () => {
    const expected = logitsOf(onBoard(mixed, { coreTypes: 'all' }), TOKENS);
    const least = { ...Z1, dmaMemory: [{ base: Z1.dmaMemory[0].base, size: workingSizes(Z1).total }] };
    const staged = onBoard(mixed, { coreTypes: 'all' }, least);
    expect(staged.placement.totals.staged.tensors).toBeGreaterThan(5);
    expectAlike(logitsOf(staged, TOKENS), expected);
  });

  it.each([2, 3])('give the same bits where %i threads have some of the rows', (threads) => {
    const expected = logitsOf(onBoard(mixed, { coreTypes: 'all' }), TOKENS);
    const random = new Random(threads);
    const cpuRows = ({ rows }: { rows: number }) => Math.floor(rows * random.nextDouble());
    const shared = onBoard(mixed, { coreTypes: 'all', threads, cpuRows });
    expectAlike(logitsOf(shared, TOKENS), expected);
    expect(shared.cost().cpuMultiplyAdds).toBeGreaterThan(0);
  });

  it('are kept packed apart from those of another choice', () => {
    const fs = createFsFromVolume(Volume.fromJSON({ '/packed/x': '' })) as unknown as PackedFs;
    const keep = { model: 'c'.repeat(64), folder: '/packed', fs };
    const loads = (coreTypes: 'exact' | 'padded' | 'all') => {
      const model = onBoard(mixed, { coreTypes, keep });
      return { logits: logitsOf(model, TOKENS), weights: { ...model.weights } };
    };
    const first = loads('all');
    expect(first.weights).toMatchObject({ read: 0 });
    expect(loads('padded').weights).toMatchObject({ read: 0 });
    const again = loads('all');
    expect(again.weights).toMatchObject({ packed: 0, read: first.weights.packed });
    expectAlike(again.logits, first.logits);
  });

  it('are none without a core, and by exact', () => {
    const expected = logitsOf(loadModel(mixed), TOKENS);
    expectAlike(logitsOf(loadModel(mixed, { coreTypes: 'all' }), TOKENS), expected);
    expectAlike(logitsOf(onBoard(mixed, { coreTypes: 'exact' }), TOKENS), expected);
  });

  it('are refused by a setting that is none', () => {
    expect(() => loadModel(mixed, { coreTypes: 'some' as 'all' })).toThrow(/LLM_CORE_TYPES/);
  });
});

/** Experts, one matrix for queries, keys and values, one for gate and up, a tied output. */
it.each(['qwen3moe-f16.gguf', 'gpt2-f16.gguf', 'phi3-f16.gguf', 'smollm3-f16.gguf'])(
  '%s is by all the core’s to the last matrix, with the same bits alone and together',
  (file) => {
    const model = onBoard(openGguf(fileSource(join(FOLDER, file))), { coreTypes: 'all' });
    expect(model.placement.totals.cpu.tensors).toBe(0);
    expectAlike(logitsOf(model, TOKENS), logitsOf(model, TOKENS, false));
    expect(model.cost().cpuMultiplyAdds).toBe(0);
  },
);

describe('a file with rows that are no whole super-blocks', () => {
  const files = [...readReference(join(FOLDER, 'reference.json'))].filter(([file]) => /-d\d+-/.test(file));
  it.each(
    files.flatMap(([file, cases]) =>
      (['padded', 'all'] as const).map((types) => [file, types, cases] as const),
    ),
  )('%s by %s is as near to llama.cpp as the tolerance of its own asks', (file, coreTypes, cases) => {
    const accelerator = new Accelerator(openMockBoard(Z1));
    const { failures, median } = compareModel(FOLDER, file, cases, accelerator, false, coreTypes);
    accelerator.close();
    expect(failures).toEqual([]);
    expect(median).toBeGreaterThan(0);
  });
  it('is there', () => expect(files.length).toBe(3));

  it('is the core’s by default for the most part', () => {
    const model = onBoard(openGguf(fileSource(join(FOLDER, 'qwen2-d96-Q4_K_M.gguf'))));
    const { cpu, resident } = model.placement.totals;
    expect(resident.weights / (resident.weights + cpu.weights)).toBeGreaterThan(0.8);
  });
});
