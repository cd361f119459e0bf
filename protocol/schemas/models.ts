import { z } from 'zod';
import { MAX_CHUNKS, MAX_LIST_MODELS, MAX_NAME_LENGTH } from '../limits.js';
import { bytes, count, digest, list, name, piece, text, tokens } from './common.js';

const placementTotals = z.object({ tensors: count, bytes: count, weights: count });

/** Where each weight tensor is computed, and why; see driver/placement.ts. */
export const placementReport = z.object({
  board: z.string(),
  tensors: z.array(
    z.object({
      name: z.string(),
      type: z.string(),
      rows: count,
      columns: count,
      placement: z.enum(['resident', 'staged', 'cpu']),
      reason: z.string(),
      /** Packed tiles: DMA memory where resident, CPU memory where staged. */
      bytes: count,
    }),
  ),
  totals: z.object({ resident: placementTotals, staged: placementTotals, cpu: placementTotals }),
  dmaMemory: z.object({ total: count, working: count, free: count }),
});
/** @interface */
export type WirePlacementReport = z.output<typeof placementReport>;

/** Shapes of weight tensors, by GGML's names of types: for a plan without the weights. */
export const planParams = z.strictObject({
  tensors: list(
    z.strictObject({
      name: z.string().max(200),
      type: z.string().max(20),
      rows: z.int().min(1),
      columns: z.int().min(1),
    }),
    { min: 0, max: 16_384 },
  ),
});

/** How keys and values of complete pages are kept. */
const KV_TYPES = ['f16', 'int8'] as const;
export const kvType = z.enum(KV_TYPES);
export type KvType = z.output<typeof kvType>;

/** What a model is, once it is loaded. */
export const modelFacts = z.object({
  name: z.string(),
  layers: count,
  embeddingLength: count,
  feedForwardLength: count,
  heads: count,
  keyValueHeads: count,
  vocabularySize: count,
  /** Context that the model was made for, and the one that it was loaded with. */
  trainedContextLength: count,
  contextLength: count,
  /** How keys and values are kept, and tokens of a sequence that has all room for itself; agents before did not say. */
  keyValues: z.object({ type: kvType, bytes: count, tokens: count }).optional(),
  hasChatTemplate: z.boolean(),
  /** The token that begins a text, where the model wants one. */
  bosToken: count.optional(),
});
/** @interface */
export type ModelFacts = z.output<typeof modelFacts>;

export const storedModel = z.object({
  digest,
  /** Names that users gave it; a model without one is known by its digest only. */
  names: z.array(z.string()),
  bytes: count,
  state: z.enum(['stored', 'loading', 'loaded']),
});
/** @interface */
export type StoredModel = z.output<typeof storedModel>;
/** By digest, a page at a time; the first page without parameters. */
export const modelsListParams = z.strictObject({
  /** Models after this one: `next` of the page before. */
  after: digest.optional(),
  /** Most models of the page; it may have fewer. */
  limit: z.int().min(1).max(MAX_LIST_MODELS).optional(),
});
export const modelsListResult = z.object({
  models: z.array(storedModel),
  /** Digest of the last model of the page, where there are more. */
  next: digest.optional(),
});

/** A name, a digest, or the first digits of one. */
export const modelsFindParams = z.strictObject({ model: z.string().min(1).max(MAX_NAME_LENGTH) });
/** The model of that digest or name; where there is none, those whose digests begin so, of which two are enough. */
export const modelsFindResult = z.object({ models: z.array(storedModel) });

export const modelReference = z.strictObject({ model: digest });

export const uploadBeginParams = z.strictObject({
  digest,
  name,
  bytes: z.int().min(1),
  /** SHA-256 of each chunk of CHUNK_BYTES, 32 bytes each, in order. */
  chunkDigests: bytes.refine(
    (value) => value.length % 32 === 0 && value.length > 0 && value.length <= MAX_CHUNKS * 32,
    `must hold 1 to ${MAX_CHUNKS} digests of 32 bytes`,
  ),
});
export const uploadBeginResult = z.union([
  z.object({ state: z.literal('complete'), model: storedModel }),
  z.object({
    state: z.literal('partial'),
    upload: count,
    /** One byte a chunk: 1 where the board has it already. */
    have: bytes,
  }),
]);
export const uploadChunkParams = z.strictObject({ upload: count, index: count, data: piece });
export const uploadReference = z.strictObject({ upload: count });

export const loadParams = z.strictObject({
  model: digest,
  /** Tokens that a sequence may have; the model's own context length unless given. */
  contextLength: z.int().min(1).max(1_048_576).optional(),
  /** How keys and values are kept, and bytes for those of all sequences; the agent's settings unless given. */
  kvType: kvType.optional(),
  kvBytes: z
    .int()
    .min(1)
    .max(2 ** 32)
    .optional(),
});
export const loadResult = z.object({ facts: modelFacts, placement: placementReport });

export const tokenizeParams = z.strictObject({
  model: digest,
  text,
  /** Whether special tokens written in the text are taken as such; they are plain text unless asked. */
  parseSpecial: z.boolean().optional(),
  /** Whether the tokens that the model wants before and after a text (BOS, EOS) are added; yes unless told. */
  addSpecial: z.boolean().optional(),
});
export const tokenizeResult = z.object({ tokens });
export const detokenizeParams = z.strictObject({ model: digest, tokens });
export const detokenizeResult = z.object({ text: z.string() });
/** What each token stands for: not always whole characters; nothing for tokens that are left out of texts. */
export const piecesResult = z.object({ pieces: z.array(bytes) });

export const chatMessages = list(z.strictObject({ role: z.string().min(1).max(40), content: text }), {
  min: 1,
  max: 1_000,
});
export const applyTemplateParams = z.strictObject({
  model: digest,
  messages: chatMessages,
  /** Whether the prompt ends where the assistant's answer begins; yes unless told. */
  addGenerationPrompt: z.boolean().optional(),
});
export const applyTemplateResult = z.object({ tokens });
