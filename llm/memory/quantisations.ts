import type { TensorShape } from '../../driver/index.js';
import { GgmlType } from '../../gguf/index.js';
import type { ModelShape } from './model-shape.js';

/** A way to quantise a model, as llama.cpp's llama-quantize does it. */
interface Quantisation {
  readonly name: string;
  /** What llama-quantize is given between its name and the files, and after them. */
  readonly options: string;
  readonly type: string;
  typeOf(tensor: string, shape: ModelShape): GgmlType;
}

const isOutput = (tensor: string) => /^(output|token_embd)\.weight$/.test(tensor);
/** Its mixes keep values better where several heads share them. */
const sharesHeads = ({ heads, kvHeads }: ModelShape) => heads >= 4 * kvHeads;

/** From the largest to the smallest. Mixes are those of llama.cpp: the output matrix is Q6_K unless told otherwise. */
const QUANTISATIONS: readonly Quantisation[] = [
  {
    name: 'Q4_K',
    options: '--pure --output-tensor-type q6_k ',
    type: 'q4_k',
    typeOf: (tensor) => (isOutput(tensor) ? GgmlType.Q6_K : GgmlType.Q4_K),
  },
  {
    name: 'Q3_K_S',
    options: '',
    type: 'q3_k_s',
    typeOf: (tensor) => (isOutput(tensor) ? GgmlType.Q6_K : GgmlType.Q3_K),
  },
  {
    name: 'Q2_K',
    options: '',
    type: 'q2_k',
    typeOf: (tensor, shape) => {
      if (isOutput(tensor)) return GgmlType.Q6_K;
      if (/attn_v\.weight$/.test(tensor)) return sharesHeads(shape) ? GgmlType.Q4_K : GgmlType.Q3_K;
      return /(ffn_down|attn_output)\.weight$/.test(tensor) ? GgmlType.Q3_K : GgmlType.Q2_K;
    },
  },
  {
    name: 'Q2_K throughout with a Q4_K output matrix',
    options: '--pure --output-tensor-type q4_k --token-embedding-type q2_k ',
    type: 'q2_k',
    typeOf: (tensor) => (isOutput(tensor) ? GgmlType.Q4_K : GgmlType.Q2_K),
  },
  {
    name: 'Q2_K throughout',
    options: '--pure --output-tensor-type q2_k --token-embedding-type q2_k ',
    type: 'q2_k',
    typeOf: () => GgmlType.Q2_K,
  },
];

/** The model as other quantisations would have it, from the largest to the smallest, with the command that makes it. */
export function otherQuantisations(
  model: ModelShape,
): { readonly name: string; readonly command: string; readonly model: ModelShape }[] {
  return QUANTISATIONS.map(({ name, options, type, typeOf }) => ({
    name,
    command: `llama-quantize ${options}MODEL-F16.gguf SMALLER.gguf ${type}`,
    model: {
      ...model,
      // Rows that are no whole super-blocks keep their type: llama-quantize falls back to types that the core has not.
      matrices: model.matrices.map((m: TensorShape) =>
        m.columns % 256 === 0 ? { ...m, type: typeOf(m.name, model) } : m,
      ),
    },
  }));
}
