import type { SamplingOptions } from '../../../protocol/index.js';
import type { BoardClient, Model } from '../../../sdk/index.js';
import { TINY_MODEL } from '../../system/support/agent.js';
import { modelWithChatTemplate } from '../../system/support/chat-model.js';
import { DRAFT_MODEL, deepModel } from './models.js';

export const TOKENS = 12;
/** Of each board: on this one drafts pay with the bundled model. */
export const DEVICE = 'mock:kv260?timing=systemc';
const PROMPT = 'Once upon a time';
const REPETITIVE = 'The cat sat on the mat. The dog sat on the mat. The';
const GREEDY: SamplingOptions = { maxTokens: TOKENS, temperature: 0, topLogprobs: 3, ignoreEos: true };
const SAMPLED: SamplingOptions = { ...GREEDY, temperature: 1, seed: 11 };
const NAMES = ['Lily and Tim', 'Tim and the cat'];
const FORM = { type: 'object', properties: { name: { enum: NAMES } }, required: ['name'] };

/** How requests may be: what is asked of which model, and how many at the same time. */
export interface Mode {
  readonly model: string;
  readonly prompt: readonly number[];
  readonly requests: readonly SamplingOptions[];
  /** Whether several tokens come of one step. */
  readonly drafts?: true;
  /** Tokens unless it says otherwise. */
  readonly gives?: 'end';
}

export interface Models {
  readonly plain: Model;
  /** The same weights, with keys and values in INT8: a file of its own, as a fleet loads each model in one way. */
  readonly int8: Model;
  readonly deep: Model;
  readonly draft: Model;
}

/** Has a board, or a fleet, load what the modes need. */
export async function loadModels(board: BoardClient): Promise<Models> {
  return {
    plain: await board.models.upload(TINY_MODEL),
    int8: await board.models.upload(modelWithChatTemplate('{{ messages }}'), { kvType: 'int8' }),
    deep: await board.models.upload(deepModel()),
    draft: await board.models.upload(DRAFT_MODEL),
  };
}

/** Each mode that tokens can be generated in. */
export async function makeModes({
  plain,
  int8,
  deep,
  draft,
}: Models): Promise<Readonly<Record<string, Mode>>> {
  const prompt = await plain.tokenize(PROMPT);
  const repetitive = await plain.tokenize(REPETITIVE);
  const greedy = { model: plain.digest, prompt };
  const { text, tokens } = await wholeOf(plain);
  const before = tokens.slice(0, 3).join('').length;
  return {
    greedy: { ...greedy, requests: [GREEDY] },
    sampled: { ...greedy, requests: [SAMPLED] },
    penalties: {
      ...greedy,
      requests: [
        {
          ...SAMPLED,
          repeatPenalty: 1.3,
          frequencyPenalty: 1.5,
          presencePenalty: 0.7,
          repeatLastN: 6,
          // So that what was there lately decides which of three is next.
          logitBias: [300, 301, 302].map((token) => ({ token, bias: 25 })),
        },
      ],
    },
    // One that begins, is held back over whole tokens and given up; and one that ends it within the last token.
    stops: {
      ...greedy,
      requests: [
        {
          ...GREEDY,
          maxTokens: 2 * TOKENS,
          stop: [
            `${text.slice(before + 1, before + 30)}~`,
            tokens
              .slice(TOKENS - 2, TOKENS)
              .join('')
              .slice(1),
          ],
        },
      ],
    },
    'prompt lookup': {
      ...greedy,
      prompt: repetitive,
      requests: [{ ...GREEDY, promptLookup: true }],
      drafts: true,
    },
    'draft model': {
      model: deep.digest,
      prompt,
      requests: [{ ...GREEDY, draftModel: draft.digest }],
      drafts: true,
    },
    'keys and values in INT8': {
      model: int8.digest,
      prompt: repetitive.slice(0, 10),
      requests: [SAMPLED],
    },
    schema: {
      ...greedy,
      requests: [
        {
          maxTokens: TOKENS,
          temperature: 1,
          seed: 3,
          topLogprobs: 3,
          responseFormat: { type: 'json-schema', schema: JSON.stringify(FORM) },
        },
      ],
    },
    'several answers': { ...greedy, requests: [1, 2, 3].map((seed) => ({ ...SAMPLED, seed })) },
    // It gives no token before its end: nothing holds it.
    'beam search': { ...greedy, requests: [{ maxTokens: TOKENS, beams: { width: 3 } }], gives: 'end' },
  };
}

async function wholeOf(model: Model): Promise<{ text: string; tokens: readonly string[] }> {
  const tokens: string[] = [];
  for await (const token of model.generate(PROMPT, {
    maxTokens: 2 * TOKENS,
    temperature: 0,
    ignoreEos: true,
  }))
    tokens.push(token.text);
  return { text: tokens.join(''), tokens };
}
