import { z } from 'zod';
import { list } from '../../protocol/index.js';
import { ApiError } from '../api-error.js';
import { type ChatRequest, chatRequest } from '../schemas.js';

// Requests of `/v1/responses` (platform.openai.com/docs/api-reference/responses), without state on the server: what was
// said before comes with every request.

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
const schema = z.custom<object | boolean>(
  (value) => isObject(value) || typeof value === 'boolean',
  'a JSON schema is an object, true or false',
);
const text = z.string();
const part = z.discriminatedUnion(
  'type',
  [
    z.object({ type: z.enum(['input_text', 'output_text', 'text']), text }),
    z.object({ type: z.literal('refusal'), refusal: text }),
  ],
  'only text parts are supported',
);
const content = z.string().or(list(part, { min: 0, max: 16_384 }));
const message = z.object({
  type: z.literal('message').nullish(),
  role: z.string().min(1).max(40),
  content,
});
const functionCall = z.object({
  type: z.literal('function_call'),
  call_id: z.string().min(1).max(100),
  name: z.string().min(1).max(100),
  arguments: z.string(),
});
const functionOutput = z.object({
  type: z.literal('function_call_output'),
  call_id: z.string().min(1).max(100),
  output: content,
});
const item = z.custom<Record<string, unknown>>(isObject, 'an item of the input is an object');

/** What may be asked for beside the answer: none of it comes about here, but the last one, which is not told. */
const included = z
  .string()
  .refine(
    (what) => what !== 'message.output_text.logprobs',
    'log-probabilities are told by /v1/chat/completions',
  );

const responsesRequest = z.object({
  include: list(included, { min: 0, max: 64 }).nullish(),
  model: z.string().min(1).max(1_000).nullish(),
  input: z.string().or(list(item, { min: 1, max: 1_000 })),
  instructions: z.string().nullish(),
  max_output_tokens: z.int().min(1).max(1_048_576).nullish(),
  tools: list(
    z.object({
      type: z.literal('function', 'only functions are supported as tools'),
      name: z.string(),
      description: z.string().nullish(),
      parameters: z.custom<object>(isObject).nullish(),
      strict: z.boolean().nullish(),
    }),
    { min: 0, max: 128 },
  ).nullish(),
  tool_choice: z
    .union([
      z.enum(['none', 'auto', 'required']),
      z.object({ type: z.literal('function'), name: z.string() }),
    ])
    .nullish(),
  text: z
    .object({
      verbosity: z
        .literal('medium', 'only the verbosity that models have by themselves is supported')
        .nullish(),
      format: z
        .discriminatedUnion('type', [
          z.object({ type: z.literal('text') }),
          z.object({ type: z.literal('json_object') }),
          z.object({ type: z.literal('json_schema'), schema }),
        ])
        .nullish(),
    })
    .nullish(),
});

/** What is sent back of a request. */
export interface Responses {
  readonly chat: ChatRequest;
  /** Fields that a response repeats, as the request has them. */
  readonly repeated: Readonly<Record<string, unknown>>;
}

/**
 * The request of a chat that says the same.
 * @param body with fields of other servers already translated
 * @throws ZodError, ApiError 400
 */
export function readResponsesRequest(body: unknown): Responses {
  const request = responsesRequest.parse(body);
  const fields = body as Record<string, unknown>;
  const { tools, tool_choice: choice, text: form } = request;
  const format = form?.format ?? fields.response_format;
  if (form?.format && fields.response_format)
    throw new ApiError(
      400,
      'text.format and response_format both say what form the answer has: give one.',
      'invalid_value',
      'response_format',
    );
  const { instructions: _, include: __, prompt: ___, ...others } = fields;
  const chat = chatRequest.parse({
    ...others,
    messages: messagesOf(request.instructions, request.input),
    max_completion_tokens: request.max_output_tokens,
    max_tokens: undefined,
    tools: tools?.map(({ type, ...called }) => ({ type, function: called })),
    tool_choice:
      typeof choice === 'object' && choice !== null
        ? { type: 'function', function: { name: choice.name } }
        : choice,
    response_format:
      form?.format?.type === 'json_schema'
        ? { type: 'json_schema', json_schema: { schema: form.format.schema } }
        : format,
  });
  return {
    chat,
    repeated: {
      instructions: fields.instructions ?? null,
      temperature: chat.temperature ?? 1,
      top_p: chat.top_p ?? 1,
      metadata: fields.metadata ?? {},
      parallel_tool_calls: chat.parallel_tool_calls ?? true,
      max_output_tokens: request.max_output_tokens ?? null,
      tools: fields.tools ?? [],
      tool_choice: fields.tool_choice ?? 'auto',
      text: fields.text ?? { format: { type: 'text' } },
      store: false,
      previous_response_id: null,
      truncation: 'disabled',
      reasoning: {
        effort: isObject(fields.reasoning) ? (fields.reasoning.effort ?? null) : null,
        summary: null,
      },
      service_tier:
        chat.service_tier === 'flex' || chat.service_tier === 'priority' ? chat.service_tier : 'default',
    },
  };
}

/** @throws ZodError that names the item */
function parsedItem<Item>(schema: z.ZodType<Item>, item: unknown, index: number): Item {
  const { success, data, error } = schema.safeParse(item);
  if (success) return data;
  throw new z.ZodRealError(
    error.issues.map((issue) => ({ ...issue, path: ['input', index, ...issue.path] })),
  );
}

function messagesOf(
  instructions: string | null | undefined,
  input: string | Record<string, unknown>[],
): object[] {
  const system = instructions ? [{ role: 'system', content: instructions }] : [];
  if (typeof input === 'string') return [...system, { role: 'user', content: input }];
  const messages: { role: string; content: string; tool_calls?: object[]; tool_call_id?: string }[] = [];
  for (const [index, one] of input.entries()) {
    // What a model thought is not told to it again.
    if (one.type === 'reasoning') continue;
    if (one.type === 'function_call') {
      const { call_id: id, name, arguments: given } = parsedItem(functionCall, one, index);
      const call = { id, type: 'function', function: { name, arguments: given } };
      const before = messages.at(-1);
      // Calls of one answer are items of their own here, and one message there.
      if (before?.role === 'assistant') before.tool_calls = [...(before.tool_calls ?? []), call];
      else messages.push({ role: 'assistant', content: '', tool_calls: [call] });
    } else if (one.type === 'function_call_output') {
      const { call_id: id, output } = parsedItem(functionOutput, one, index);
      messages.push({ role: 'tool', content: textOf(output), tool_call_id: id });
    } else if (one.type === undefined || one.type === 'message') {
      const said = parsedItem(message, one, index);
      messages.push({ role: said.role, content: textOf(said.content) });
    } else {
      const stored =
        one.type === 'item_reference' ? ' (nothing is stored here: send whole items, store: false)' : '';
      throw new ApiError(
        400,
        `"input.${index}" is of the type ${JSON.stringify(one.type)}, which is not supported${stored}.`,
        'unsupported',
        `input.${index}.type`,
      );
    }
  }
  return [...system, ...messages];
}

function textOf(parts: z.output<typeof content>): string {
  if (typeof parts === 'string') return parts;
  return parts.map((one) => (one.type === 'refusal' ? one.refusal : one.text)).join('');
}
