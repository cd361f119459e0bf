import { ApiError } from './api-error.js';
import { type Endpoint, NEUTRAL } from './neutral-fields.js';
import { reasoningOf } from './reasoning-fields.js';

// Servers of the ecosystem (llama.cpp, vLLM, older OpenAI) have fields that OpenAI's API does not, and clients send them.
// What means the same as something we have is followed; what would change the answer is refused by name; what asks for
// what is done anyway, and what only keeps books, is accepted. Whatever no list here has is ignored, as servers do.

type Fields = Record<string, unknown>;

const isObject = (value: unknown): value is Fields =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
const isUnset = (value: unknown) => value === undefined || value === null;
const isEmpty = (value: unknown) =>
  value === '' ||
  (Array.isArray(value) ? value.length === 0 : isObject(value) && Object.keys(value).length === 0);

/** The same thing by another name. */
const SAME: Readonly<Record<string, string>> = {
  repetition_penalty: 'repeat_penalty',
  guided_json: 'json_schema',
};

/** No limit but the context's end. */
export const MOST_TOKENS = 1_048_576;
/** How many tokens: the first that says something. llama.cpp's -1 is no limit. */
const LIMITS = [
  'max_completion_tokens',
  'max_tokens',
  'n_predict',
  'num_predict',
  'max_new_tokens',
  'max_output_tokens',
];
/** As many as schemas let pass: a longer list is not looked at. */
const MOST_BIASES = 1_024;

/**
 * The fields of a request as the schemas here have them.
 * @throws ApiError 400 naming a field that would change the answer and that is not followed
 */
export function translateFields(body: unknown, endpoint: Endpoint = 'chat'): unknown {
  if (!isObject(body)) return body;
  // Python's clients put it beside the other fields before they send; programs that write the request themselves do not.
  const { extra_body: extra, ...own } = body;
  const fields: Fields = isObject(extra) ? { ...extra, ...own } : own;
  for (const [foreign, name] of Object.entries(SAME)) rename(fields, foreign, name);
  for (const [name, neutral] of Object.entries(NEUTRAL[endpoint])) {
    const value = fields[name];
    if (isUnset(value) || isEmpty(value) || neutral.includes(value)) continue;
    throw notFollowed(name, neutral);
  }
  if (fields.top_k === -1) fields.top_k = 0;
  for (const name of ['user', 'safety_identifier']) if (fields[name] === '') delete fields[name];
  if (fields.tool_choice === 'any') fields.tool_choice = 'required';
  fields.logit_bias = biasOf(fields.logit_bias);
  if (endpoint === 'completion') {
    if (fields.logprobs === false) delete fields.logprobs;
  } else {
    allowTools(fields);
    fields.chat_template_kwargs = reasoningOf(fields);
  }
  const limits = LIMITS.filter((name) => !isUnset(fields[name]));
  if (limits.length > 0) {
    const limit = fields[limits[0]];
    for (const name of LIMITS) delete fields[name];
    const own = limits[0] === 'max_completion_tokens' ? limits[0] : 'max_tokens';
    fields[endpoint === 'responses' ? 'max_output_tokens' : own] = limit === -1 ? MOST_TOKENS : limit;
  }
  if (isEmpty(fields.stop)) delete fields.stop;
  if (Array.isArray(fields.stop)) fields.stop = fields.stop.filter((text) => text !== '');
  const format = formatOf(fields);
  if (format !== undefined) fields.response_format = format;
  for (const name of ['logit_bias', 'chat_template_kwargs'])
    if (fields[name] === undefined) delete fields[name];
  return fields;
}

/** llama.cpp's list of `[id, bias]`, where `false` rules a token out, and the empty list that some write for an empty object. */
function biasOf(bias: unknown): unknown {
  if (!Array.isArray(bias) || bias.length > MOST_BIASES) return bias;
  const isPair = (pair: unknown): pair is [number, number | false] =>
    Array.isArray(pair) && pair.length === 2 && Number.isInteger(pair[0]);
  if (!bias.every(isPair))
    throw new ApiError(
      400,
      '"logit_bias" is an object of token ids and numbers, or a list of [id, number]; texts are not taken apart.',
      'invalid_value',
      'logit_bias',
    );
  return Object.fromEntries(bias.map(([id, value]) => [String(id), value === false ? -100 : value]));
}

/** OpenAI's `allowed_tools`: the others cannot be called. @throws ApiError 400 for one that there is not */
function allowTools(fields: Fields): void {
  const { tool_choice: choice, tools } = fields;
  if (!isObject(choice) || choice.type !== 'allowed_tools' || !Array.isArray(tools)) return;
  const { mode, tools: allowed } = isObject(choice.allowed_tools) ? choice.allowed_tools : choice;
  if (!Array.isArray(allowed)) return;
  const nameOf = (tool: unknown) =>
    isObject(tool) ? (isObject(tool.function) ? tool.function.name : tool.name) : undefined;
  const there = new Map(tools.map((tool) => [nameOf(tool), tool]));
  fields.tools = allowed.map((tool) => {
    const found = there.get(nameOf(tool));
    if (found !== undefined) return found;
    const name = JSON.stringify(nameOf(tool));
    throw new ApiError(400, `${name} is allowed, and tools has none such.`, 'invalid_value', 'tool_choice');
  });
  fields.tool_choice = mode;
}

function rename(fields: Fields, from: string, to: string): void {
  if (isUnset(fields[from])) return;
  if (isUnset(fields[to])) fields[to] = fields[from];
  delete fields[from];
}

function notFollowed(name: string, neutral: readonly unknown[]): ApiError {
  const advice =
    neutral.length > 0
      ? `only ${neutral.map((value) => JSON.stringify(value)).join(' or ')} is`
      : 'leave it out';
  return new ApiError(400, `"${name}" is not supported with this value: ${advice}.`, 'unsupported', name);
}

/** A schema that stands elsewhere than in OpenAI's place. @throws ApiError 400 for two schemas, and forms that are not followed */
function formatOf(fields: Fields): unknown {
  const { response_format: format, json_schema: top, structured_outputs: structured } = fields;
  delete fields.json_schema;
  delete fields.structured_outputs;
  const found: [where: string, schema: unknown][] = [];
  if (!isUnset(top) && !isEmpty(top)) found.push(['json_schema', top]);
  if (isObject(structured)) {
    for (const [name, value] of Object.entries(structured)) {
      if (isUnset(value) || isEmpty(value) || value === false) continue;
      if (name !== 'json') throw notFollowed(`structured_outputs.${name}`, []);
      found.push(['structured_outputs.json', value]);
    }
  }
  if (isObject(format)) {
    if (format.type === 'text' && !isUnset(format.schema ?? format.json_schema))
      throw notFollowed('response_format.type', []);
    if (format.type === 'json_object' && !isUnset(format.json_schema))
      throw notFollowed('response_format.json_schema', []);
    // llama.cpp and others: {"type": "json_object" or "json_schema", "schema": …}.
    if (!isUnset(format.schema) && isUnset(format.json_schema))
      found.push(['response_format.schema', format.schema]);
    else if (format.type === 'json_schema' || format.type === 'json_object') {
      if (found.length === 0) return format;
      if (format.type === 'json_schema') found.push(['response_format', format.json_schema]);
    }
  }
  if (found.length === 0) return format;
  if (found.length > 1)
    throw new ApiError(
      400,
      `${found.map(([where]) => where).join(' and ')} both say what form the answer has: give one.`,
      'invalid_value',
      found[1][0],
    );
  const [[where, schema]] = found;
  const read = typeof schema === 'string' ? parsed(schema, where) : schema;
  return { type: 'json_schema', json_schema: { schema: read } };
}

function parsed(text: string, where: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw new ApiError(400, `"${where}" is no JSON.`, 'invalid_value', where);
  }
}
