import { z } from 'zod';

// Requests of the OpenAI API (platform.openai.com/docs/api-reference), as far as this server understands them. Fields
// that it does not know are ignored, as servers of the ecosystem do; fields that would change the answer and cannot
// be honoured are refused by name, never ignored.

const count = z.int().min(1).max(1_048_576);
const stop = z.union([z.string().min(1).max(1_000), z.array(z.string().min(1).max(1_000)).max(16)]).nullish();

const schemaObject = z.union([z.record(z.string(), z.unknown()), z.boolean()]);
const responseFormat = z.discriminatedUnion('type', [
  z.object({ type: z.literal('text') }),
  z.object({ type: z.literal('json_object') }),
  z.object({ type: z.literal('json_schema'), json_schema: z.object({ schema: schemaObject }) }),
]);

const sampling = z.object({
  model: z.string().min(1).max(1_000),
  temperature: z.number().min(0).max(2).nullish(),
  top_p: z.number().min(0).max(1).nullish(),
  frequency_penalty: z.number().min(-2).max(2).nullish(),
  presence_penalty: z.number().min(-2).max(2).nullish(),
  logit_bias: z.record(z.string().regex(/^\d{1,9}$/), z.number().min(-100).max(100)).nullish(),
  seed: z.int().nullish(),
  stop,
  n: z.int().min(1).max(16).nullish(),
  stream: z.boolean().nullish(),
  response_format: responseFormat.nullish(),
  stream_options: z.looseObject({ include_usage: z.boolean().optional() }).nullish(),
  service_tier: z.enum(['auto', 'default', 'flex', 'priority', 'scale']).nullish(),
  /** Whose request it is: the board is shared fairly between users. The newer name goes first. */
  user: z.string().min(1).max(180).nullish(),
  safety_identifier: z.string().min(1).max(180).nullish(),
  // Ours: see docs/scheduling.md.
  priority: z.int().min(0).max(9).nullish(),
  deadline_ms: z.number().positive().max(86_400_000).nullish(),
  // llama.cpp's server has these beside OpenAI's.
  top_k: z.int().min(0).nullish(),
  min_p: z.number().min(0).max(1).nullish(),
  repeat_penalty: z.number().min(0.01).max(100).nullish(),
  ignore_eos: z.boolean().nullish(),
  // Ours: the same tokens, in fewer steps where the text repeats itself.
  prompt_lookup: z.boolean().nullish(),
  draft_model: z.string().min(1).max(1_000).nullish(),
  beam_width: z.int().min(1).max(8).nullish(),
  length_penalty: z.number().min(-10).max(10).nullish(),
});
export type SamplingFields = z.output<typeof sampling>;

const tokens = z.array(z.int().min(0)).min(1).max(1_048_576);

export const completionRequest = sampling
  .extend({
    prompt: z.union([z.string(), tokens, z.array(z.string()).min(1).max(16), z.array(tokens).min(1).max(16)]),
    max_tokens: count.nullish(),
    logprobs: z.int().min(0).max(20).nullish(),
    echo: z.boolean().nullish(),
    suffix: z.literal('', 'suffix is not supported').nullish(),
    best_of: z.int().min(1).max(16).nullish(),
  })
  .refine(({ best_of: bestOf, n }) => (bestOf ?? n ?? 1) >= (n ?? 1), {
    path: ['best_of'],
    error: 'best_of has to be at least n',
  })
  .refine(({ echo, beam_width: width }) => !echo || typeof width !== 'number', {
    path: ['echo'],
    error: 'beams are answers without their prompt',
  })
  .refine(({ best_of: bestOf, n, stream }) => !stream || (bestOf ?? n ?? 1) === (n ?? 1), {
    path: ['best_of'],
    error: 'which answers are the best is known at the end only: best_of above n cannot be streamed',
  });
export type CompletionRequest = z.output<typeof completionRequest>;

const textPart = z.object({ type: z.literal('text', 'only text parts are supported'), text: z.string() });
const message = z.object({
  role: z.string().min(1).max(40),
  content: z.union([z.string(), z.array(textPart)]),
});

export const chatRequest = sampling.extend({
  messages: z.array(message).min(1).max(1_000),
  max_tokens: count.nullish(),
  max_completion_tokens: count.nullish(),
  logprobs: z.boolean().nullish(),
  top_logprobs: z.int().min(0).max(20).nullish(),
  tools: z.array(z.unknown()).max(0, 'tools are not supported').nullish(),
});
export type ChatRequest = z.output<typeof chatRequest>;

export const embeddingsRequest = z.looseObject({ model: z.string().min(1).max(1_000) });
