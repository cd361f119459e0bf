import { z } from 'zod';
import { list, MAX_PROMPT_TOKENS, tokenList } from '../protocol/index.js';
import { toolCalls, toolFields } from './tools/tool-schemas.js';

// Requests of the OpenAI API (platform.openai.com/docs/api-reference), as far as this server understands them. Fields
// that it does not know are ignored, as servers of the ecosystem do; fields that would change the answer and cannot
// be honoured are refused by name, never ignored (foreign-fields.ts has those of other servers).

const count = z.int().min(0).max(1_048_576);
/** Completions may score a prompt and generate nothing. */
const atLeastOne = z.int().min(1).max(1_048_576);
const stopText = z.string().min(1).max(512);
const stop = z.union([stopText, z.array(stopText).max(16)]).nullish();
/** As many as wait for their turn at most: more answers of one request could never be given. */
const MOST_ANSWERS = 64;
const mostAnswers = { path: ['n'], error: `at most ${MOST_ANSWERS} answers to all prompts of a request` };

const isObject = (value: unknown): value is object =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
/** Not copied: it may have a hundred thousand properties, about which the engine decides. */
const schemaObject = z.custom<object | boolean>(
  (value) => isObject(value) || typeof value === 'boolean',
  'a JSON schema is an object, true or false',
);
/** Its size is looked at first, because of each key that is wrong an issue would be made. */
const MAX_BIASED_TOKENS = 1_024;
const logitBias = z
  .custom<object>(isObject, 'logit_bias is an object')
  .refine(
    (bias) => Object.keys(bias).length <= MAX_BIASED_TOKENS,
    `logit_bias has more than ${MAX_BIASED_TOKENS} tokens`,
  )
  .pipe(z.record(z.string().regex(/^\d{1,9}$/), z.number().min(-100).max(100)));
const responseFormat = z.discriminatedUnion('type', [
  z.object({ type: z.literal('text') }),
  z.object({ type: z.literal('json_object') }),
  z.object({ type: z.literal('json_schema'), json_schema: z.object({ schema: schemaObject }) }),
]);

const sampling = z.object({
  /** Needed where several are served. */
  model: z.string().min(1).max(1_000).nullish(),
  temperature: z.number().min(0).max(2).nullish(),
  top_p: z.number().min(0).max(1).nullish(),
  frequency_penalty: z.number().min(-2).max(2).nullish(),
  presence_penalty: z.number().min(-2).max(2).nullish(),
  logit_bias: logitBias.nullish(),
  seed: z.int().nullish(),
  stop,
  n: z.int().min(1).max(16).nullish(),
  stream: z.boolean().nullish(),
  response_format: responseFormat.nullish(),
  stream_options: z.object({ include_usage: z.boolean().nullish() }).nullish(),
  service_tier: z.enum(['auto', 'default', 'flex', 'priority', 'scale']).nullish(),
  /** Whose request it is: the board is shared fairly between users. The newer name goes first. */
  user: z.string().min(1).max(180).nullish(),
  safety_identifier: z.string().min(1).max(180).nullish(),
  // Ours: see docs/scheduling.md.
  priority: z.int().min(0).max(9).nullish(),
  deadline_ms: z.number().positive().max(86_400_000).nullish(),
  // llama.cpp's server has these beside OpenAI's.
  return_progress: z.boolean().nullish(),
  top_k: z.int().min(0).nullish(),
  min_p: z.number().min(0).max(1).nullish(),
  repeat_penalty: z.number().min(0.01).max(100).nullish(),
  repeat_last_n: z.int().min(-1).max(1_048_576).nullish(),
  ignore_eos: z.boolean().nullish(),
  // Ours: the same tokens, in fewer steps where the text repeats itself.
  prompt_lookup: z.boolean().nullish(),
  draft_model: z.string().min(1).max(1_000).nullish(),
  beam_width: z.int().min(1).max(8).nullish(),
  length_penalty: z.number().min(-10).max(10).nullish(),
});
export type SamplingFields = z.output<typeof sampling>;

const noBeams = { path: ['logprobs'], error: 'beam search reports no log-probabilities of single tokens' };

const tokens = tokenList({ min: 1, max: MAX_PROMPT_TOKENS });

const prompts = z.union([
  z.string(),
  tokens,
  z.array(z.string()).min(1).max(16),
  z.array(tokens).min(1).max(16),
]);

export const completionRequest = sampling
  .extend({
    prompt: prompts,
    max_tokens: count.nullish(),
    max_completion_tokens: count.nullish(),
    logprobs: z.int().min(0).max(20).nullish(),
    echo: z.boolean().nullish(),
    suffix: z.literal('', 'suffix is not supported').nullish(),
    best_of: z.int().min(1).max(16).nullish(),
  })
  .refine(({ best_of: bestOf, n }) => (bestOf ?? n ?? 1) >= (n ?? 1), {
    path: ['best_of'],
    error: 'best_of has to be at least n',
  })
  .refine(
    ({ prompt, best_of: bestOf, n }) => promptCount(prompt) * (bestOf ?? n ?? 1) <= MOST_ANSWERS,
    mostAnswers,
  )
  .refine(
    ({ logprobs, beam_width: width }) => typeof logprobs !== 'number' || typeof width !== 'number',
    noBeams,
  )
  .refine(({ echo, beam_width: width }) => !echo || typeof width !== 'number', {
    path: ['echo'],
    error: 'beams are answers without their prompt',
  })
  .refine(({ best_of: bestOf, n, stream }) => !stream || (bestOf ?? n ?? 1) === (n ?? 1), {
    path: ['best_of'],
    error: 'which answers are the best is known at the end only: best_of above n cannot be streamed',
  });
export type CompletionRequest = z.output<typeof completionRequest>;
/** One of its prompts: a text, or its tokens. */
export type CompletionPrompt = string | { readonly tokens: readonly number[] };

function promptCount(prompt: z.output<typeof prompts>): number {
  return typeof prompt === 'string' || typeof prompt[0] === 'number' ? 1 : prompt.length;
}

const part = z.discriminatedUnion(
  'type',
  [
    z.object({ type: z.literal('text'), text: z.string() }),
    z.object({ type: z.literal('refusal'), refusal: z.string() }),
  ],
  'only text parts are supported',
);
/** Of a message; the number of values in a request bounds those of all. */
const MAX_PARTS = 16_384;
const message = z
  .object({
    role: z.string().min(1).max(40),
    content: z
      .string()
      .or(list(part, { min: 0, max: MAX_PARTS }))
      .nullish(),
    refusal: z.string().nullish(),
    tool_calls: toolCalls,
    tool_call_id: z.string().min(1).max(100).nullish(),
    function_call: z.null('calls are given as tool_calls').optional(),
    audio: z.null('only text is understood').optional(),
    // Mistral's and DeepSeek's.
    prefix: z.literal(false, 'an answer that has begun cannot be continued').nullish(),
  })
  .refine(({ role }) => role !== 'function', {
    path: ['role'],
    error: 'what a function returned is a message of the role tool, with the tool_call_id',
  })
  .refine(
    ({ role, content }) => role === 'assistant' || typeof content === 'string' || Array.isArray(content),
    {
      path: ['content'],
      error: 'only an assistant may have said nothing',
    },
  )
  // What an assistant that called a function said.
  .transform(({ content, refusal, ...rest }) => ({ ...rest, content: content ?? refusal ?? '' }));

const noFunctions = z.array(z.unknown()).max(0, 'functions are given as tools').nullish();
const variable = z.union([z.string().max(10_000), z.number(), z.boolean(), z.null()]);
export const chatRequest = sampling
  .extend({
    messages: list(message, { min: 1, max: 1_000 }),
    max_tokens: atLeastOne.nullish(),
    max_completion_tokens: atLeastOne.nullish(),
    logprobs: z.boolean().nullish(),
    top_logprobs: z.int().min(0).max(20).nullish(),
    ...toolFields,
    functions: noFunctions,
    echo: z.literal(false, 'only completions have echo').nullish(),
    function_call: z.enum(['none', 'auto'], 'functions are given as tools').nullish(),
    // llama.cpp's and vLLM's: variables of the chat template.
    chat_template_kwargs: z.record(z.string().max(64), variable).nullish(),
    /** Ours: the day that templates which ask for it are told. */
    template_date: z.iso.date().nullish(),
    modalities: z.array(z.literal('text', 'only text is generated')).max(16).nullish(),
    audio: z.null('only text is generated').optional(),
  })
  .refine(({ logprobs, top_logprobs: top }) => logprobs || !top, {
    path: ['top_logprobs'],
    error: 'top_logprobs needs logprobs: true',
  })
  .refine(({ logprobs, beam_width: width }) => !logprobs || typeof width !== 'number', noBeams);
export type ChatRequest = z.output<typeof chatRequest>;

export const embeddingsRequest = z.object({ model: z.string().min(1).max(1_000).nullish() });
