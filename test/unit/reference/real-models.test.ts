import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { fileSource, openGguf } from '../../../gguf/index.js';
import { ARCHITECTURES } from '../../../llm/model/architectures.js';
import { headerOnly, tensorsOf } from '../../reference/models/model-header.js';
import { planModel } from '../../reference/models/model-plans.js';
import { REAL_MODELS, type RealModel } from '../../reference/models/real-models.js';

const FOLDER = join('test', 'fixtures', 'families');
const modelNamed = (name: string) => REAL_MODELS.find((model) => model.name === name)!;

describe('descriptions of real models', () => {
  it.each(
    REAL_MODELS.filter(({ parameters }) => parameters !== undefined).map((model) => [model.name, model]),
  )('%s has as many parameters as are published', (_, model) => {
    const counts = tensorsOf(model).map(({ shape }) =>
      shape.reduce((product, length) => product * length, 1),
    );
    expect(counts.reduce((sum, count) => sum + count, 0)).toBe(model.parameters);
  });

  it('are of every family that is computed', () => {
    const families = new Set(REAL_MODELS.map(({ family }) => family));
    expect([...ARCHITECTURES.keys()].filter((family) => !families.has(family))).toEqual([]);
  });

  it.each(readdirSync(FOLDER).filter((file) => file.endsWith('-f16.gguf')))(
    'make the tensors that %s has',
    (file) => {
      using source = fileSource(join(FOLDER, file));
      const gguf = openGguf(source);
      const family = String(gguf.metadata.get('general.architecture'));
      const number = (key: string) => Number(gguf.metadata.get(`${family}.${key}`));
      // Of layers that convolve a list has 0.
      const listed = gguf.metadata.get(`${family}.attention.head_count_kv`);
      const kvHeads = ArrayBuffer.isView(listed)
        ? Array.from<number | bigint>(listed).map(Number)
        : undefined;
      const [embedding, heads] = [number('embedding_length'), number('attention.head_count')];
      const model: RealModel = {
        ...REAL_MODELS.find((one) => one.family === family)!,
        layers: number('block_count'),
        embedding,
        feedForward: number('expert_feed_forward_length') || number('feed_forward_length'),
        heads,
        kvHeads: kvHeads === undefined ? number('attention.head_count_kv') || heads : Math.max(...kvHeads),
        ...(kvHeads && { attentionLayers: kvHeads.flatMap((count, i) => (count > 0 ? [i] : [])) }),
        headDim: number('attention.key_length') || embedding / heads,
        vocabulary: gguf.tensors.get('token_embd.weight')!.rows,
        context: number('context_length'),
        isTied: !gguf.tensors.has('output.weight'),
        ...(gguf.metadata.has(`${family}.expert_count`) && {
          experts: { count: number('expert_count'), used: number('expert_used_count') },
        }),
      };
      const made = tensorsOf(model).map(({ name, shape, type }) => ({ name, shape, type }));
      const there = [...gguf.tensors.values()].map(({ name, shape, type }) => ({ name, shape, type }));
      const byName = (a: { name: string }, b: { name: string }) => (a.name < b.name ? -1 : 1);
      expect(made.sort(byName)).toEqual(there.sort(byName));
    },
  );

  it('are headers of files as large as theirs', () => {
    const tensors = tensorsOf(modelNamed('GPT-2 (124M)'));
    const gguf = openGguf(headerOnly(modelNamed('GPT-2 (124M)'), tensors));
    expect(gguf.tensors.size).toBe(tensors.length);
    // Two bytes a weight, four a bias, norm and position.
    expect(gguf.source.size).toBeGreaterThan(2 * 124e6);
  });
});

describe('plans of real models', () => {
  it('a model whose rows are whole super-blocks is all on the core, and the more bits the more cycles', () => {
    const [small, large] = ['Q3_K_M', 'Q4_K_M'].map((mixture) =>
      planModel(modelNamed('Qwen3-0.6B'), mixture),
    );
    if ('code' in small || 'code' in large) throw new Error('Qwen3 runs');
    expect([small.onCore, large.onCore]).toEqual([1, 1]);
    expect(large.cycles.words).toBeGreaterThan(small.cycles.words);
    expect(large.bytes).toBeGreaterThan(small.bytes);
    expect(small.pynq).toBeUndefined();
    expect(small.twoPynqs?.board).toBe('pynq-z1-256');
    expect(small.kv260?.tokens).toBeGreaterThan(1000);
  });

  it('a token goes through the experts that it uses only', () => {
    const cycles = ['Qwen3-0.6B', 'four experts of Qwen3-0.6B'].map((name) => {
      const plan = planModel(modelNamed(name), 'Q3_K_M');
      if ('code' in plan) throw new Error(plan.code);
      return plan.cycles.words;
    });
    expect(cycles[1]).toBeGreaterThan(1.2 * cycles[0]);
    expect(cycles[1]).toBeLessThan(2 * cycles[0]);
  });
});
