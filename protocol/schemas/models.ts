import { z } from 'zod';
import { MAX_CHUNKS, MAX_LIST_MODELS, MAX_NAME_LENGTH } from '../limits.js';
import { conversationFields } from './chat.js';
import { bytes, count, digest, name, text, tokens } from './common.js';
import { type KvType, kvType, loadSettings } from './load-settings.js';
import { type MemoryBudget, memoryBudget } from './memory.js';
import { placementReport } from './placement.js';

/** What a model is, once it is loaded. */
export interface ModelFacts {
  /** What the model calls itself. */
  readonly name: string;
  /** Blocks of attention and feed-forward. */
  readonly layers: number;
  /** Values of a token between layers. */
  readonly embeddingLength: number;
  /** Values inside of a feed-forward. */
  readonly feedForwardLength: number;
  /** Heads of attention. */
  readonly heads: number;
  /** Heads that have keys and values, which several heads of attention may share. */
  readonly keyValueHeads: number;
  /** Tokens in the vocabulary. */
  readonly vocabularySize: number;
  /** Tokens of context that the model was made for. */
  readonly trainedContextLength: number;
  /** Tokens of context that it was loaded with. */
  readonly contextLength: number;
  /** Memory for keys and values; agents before did not say. */
  readonly keyValues?:
    | {
        /** How they are kept. */
        readonly type: KvType;
        /** Bytes for those of all sequences. */
        readonly bytes: number;
        /** Tokens of a sequence that has all room for itself. */
        readonly tokens: number;
      }
    | undefined;
  /** Whether conversations can be prompts. */
  readonly hasChatTemplate: boolean;
  /** The token that begins a text, where the model wants one. */
  readonly bosToken?: number | undefined;
}
export const modelFacts: z.ZodType<ModelFacts> = z.object({
  name: z.string(),
  layers: count,
  embeddingLength: count,
  feedForwardLength: count,
  heads: count,
  keyValueHeads: count,
  vocabularySize: count,
  trainedContextLength: count,
  contextLength: count,
  keyValues: z.object({ type: kvType, bytes: count, tokens: count }).optional(),
  hasChatTemplate: z.boolean(),
  bosToken: count.optional(),
});

/** A model in the board's store. */
export interface StoredModel {
  /** SHA-256 over its content, 64 hexadecimal digits; docs/protocol.md says of what. */
  readonly digest: string;
  /** Names that users gave it; a model without one is known by its digest only. */
  readonly names: string[];
  /** Bytes of its file. */
  readonly bytes: number;
  /** Whether it is in the board's memory. */
  readonly state: 'stored' | 'loading' | 'loaded';
}
export const storedModel: z.ZodType<StoredModel> = z.object({
  digest,
  names: z.array(z.string()),
  bytes: count,
  state: z.enum(['stored', 'loading', 'loaded']),
});
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

/** Chosen by the agent at random: who knows it may send bytes of the upload. */
const uploadId = z.string().regex(/^[0-9a-f]{32}$/, 'must be 32 lower-case hexadecimal digits');
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
    upload: uploadId,
    /** One byte a chunk: 1 where the board has it already. */
    have: bytes,
  }),
]);
export const uploadReference = z.strictObject({ upload: uploadId });
/** As in the answer to uploadBegin, now. */
export const uploadHaveResult = z.object({ have: bytes });

export const loadParams = z.strictObject({
  model: digest,
  ...loadSettings,
});
/** Where the weights of the core came from when a model was loaded, in bytes as they lie in the core's memory. */
export interface WeightOrigins {
  /** Packed from the model file. */
  readonly packed: number;
  /** Read as packed before, from a file beside the model. */
  readonly read: number;
  /** Found in DMA memory, where an agent before had put them. */
  readonly found: number;
}
export const weightOrigins: z.ZodType<WeightOrigins> = z.object({ packed: count, read: count, found: count });

export const loadResult = z.object({
  facts: modelFacts,
  placement: placementReport,
  /** What the model takes; agents before did not say. */
  memory: memoryBudget.optional(),
  weights: weightOrigins.optional(),
});

/** What is to say of a stored model that could be loaded. */
export interface StoredCheck {
  /** What is taken for granted because the file does not say it, or says what cannot be: sentences for people. */
  readonly assumed: string[];
  /** What it would take of the memory. */
  readonly memory: MemoryBudget;
}
export const checkResult: z.ZodType<StoredCheck> = z.object({
  assumed: z.array(z.string()),
  memory: memoryBudget,
});

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

export const applyTemplateParams = z.strictObject({
  ...conversationFields,
  model: digest,
  /** Whether the prompt ends where the assistant's answer begins; yes unless told. */
  addGenerationPrompt: z.boolean().optional(),
});
export const applyTemplateResult = z.object({ tokens });
