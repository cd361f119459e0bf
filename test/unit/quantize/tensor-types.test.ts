import { existsSync, readdirSync } from 'node:fs';
import { basename } from 'node:path';
import { describe, expect, it } from 'vitest';
import { BLOCK_FORMATS, fileSource, GgmlType, openGguf } from '../../../gguf/index.js';
import { MIXTURE_NAMES, type Mixture, mixtureOf } from '../../../quantize/mixtures.js';
import { modelShapeOf } from '../../../quantize/quantize-file.js';
import { inFileOrder } from '../../../quantize/tensor-order.js';
import { parseTensorRule } from '../../../quantize/tensor-rules.js';
import { chooseTypes, isQuantizable } from '../../../quantize/tensor-types.js';

const FOLDERS = ['models', '../shared/models', '../shared/kit'].filter(existsSync);
const FILES = FOLDERS.flatMap((folder) =>
  readdirSync(folder)
    .filter((name) => /-(Q\d|IQ)\w*\.gguf$/.test(name))
    .map((name) => `${folder}/${name}`),
);
const DENSE = { layers: 22, groupedHeads: 8, experts: 0, isLlama70B: false };

/** A matrix of 22 layers of a LLaMA, and what a mixture makes of it. */
function typesOfLayers(part: string, mixture: Mixture): string[] {
  const tensors = Array.from({ length: DENSE.layers }, (_, layer) => ({
    name: `blk.${layer}.${part}.weight`,
    type: GgmlType.F16,
    shape: [2048, 256],
  }));
  const output = { name: 'output.weight', type: GgmlType.F16, shape: [2048, 32000] };
  return chooseTypes([output, ...tensors], { mixture, model: DENSE })
    .slice(1)
    .map((type) => BLOCK_FORMATS[type].name);
}

describe('types of tensors', () => {
  it.each(FILES)('are those of %s, which llama-quantize chose', (path) => {
    using source = fileSource(path);
    const file = openGguf(source);
    const fileType = file.metadata.get('general.file_type');
    const mixture = MIXTURE_NAMES.map(mixtureOf).find((one) => one.fileType === fileType);
    if (mixture === undefined) throw new Error(`${path} has the file type ${fileType}`);
    const tensors = inFileOrder(file.tensors.values());
    expect(tensors.map(({ name }) => name)).toEqual([...file.tensors.keys()]);
    const sources = tensors.map((tensor) => ({
      ...tensor,
      type: isQuantizable(tensor) ? GgmlType.F16 : tensor.type,
    }));
    const chosen = chooseTypes(sources, { mixture, model: modelShapeOf(file) });
    // Builds before 2025's end took IQ4_NL where rows are no super-blocks.
    const isOld = basename(path).includes('-2025');
    const seen = tensors.map(({ name, type }) =>
      isOld && type === GgmlType.IQ4_NL ? [name, 'Q4_0'] : [name, BLOCK_FORMATS[type].name],
    );
    expect(tensors.map(({ name }, i) => [name, BLOCK_FORMATS[chosen[i]].name])).toEqual(seen);
  });

  it('spend more bits on the first and last layers’ values, and on every third between', () => {
    const types = typesOfLayers('attn_v', mixtureOf('q4_k'));
    const more = types.flatMap((type, layer) => (type === 'Q6_K' ? [layer] : []));
    expect(more).toEqual([0, 1, 4, 7, 10, 13, 16, 19, 20, 21]);
    expect(typesOfLayers('attn_v', mixtureOf('Q4_K_S')).slice(3, 5)).toEqual(['Q5_K', 'Q4_K']);
    expect(typesOfLayers('ffn_down', mixtureOf('Q3_K_M')).slice(0, 2)).toEqual(['Q5_K', 'Q4_K']);
    expect(new Set(typesOfLayers('attn_v', mixtureOf('Q2_K')))).toEqual(new Set(['Q4_K']));
  });

  it('follow the first rule that matches, held to whole blocks', () => {
    const tensors = ['blk.0.ffn_down.weight', 'blk.1.ffn_down.weight', 'blk.0.attn_q.weight'].map((name) => ({
      name,
      type: GgmlType.F16,
      shape: name.includes('attn') ? [96, 96] : [512, 256],
    }));
    const rules = ['blk\\.0\\.ffn_down=Q5_K', 'ffn_down=q2_k', 'attn=Q4_K'].map(parseTensorRule);
    const types = chooseTypes(tensors, { mixture: mixtureOf('Q3_K_S'), model: DENSE, rules });
    expect(types.map((type) => BLOCK_FORMATS[type].name)).toEqual(['Q5_K', 'Q2_K', 'Q5_0']);
  });

  it('leave norms, routers, short convolutions, positions and vectors alone', () => {
    const kept = ['blk.0.attn_norm.weight', 'blk.0.ffn_gate_inp.weight', 'blk.0.shortconv.conv.weight'];
    for (const name of [...kept, 'position_embd.weight', 'blk.0.attn_q.bias'])
      expect(isQuantizable({ name, type: GgmlType.F32, shape: [256, 256] }), name).toBe(false);
    expect(isQuantizable({ name: 'blk.0.x.weight', type: GgmlType.F32, shape: [256, 1] })).toBe(false);
    expect(isQuantizable({ name: 'blk.0.x.weight', type: GgmlType.F32, shape: [256, 2] })).toBe(true);
  });

  it.each(['=Q4_K', 'ffn', 'ffn=Q9', '(=Q4_K', `${'a'.repeat(250)}=Q4_K`])('refuse the rule %s', (rule) => {
    expect(() => parseTensorRule(rule)).toThrow(/QUANTIZE_BAD_RULE/);
  });

  it.each(['Q9', 'IQ2_XS', ''])('refuse the mixture %j', (name) => {
    expect(() => mixtureOf(name)).toThrow(/QUANTIZE_UNKNOWN_TYPE.*Q3_K_S/);
  });
});
