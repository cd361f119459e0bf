import { ApiError } from './api-error.js';

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

/** Fields that change an answer, with the value that changes none. */
const NEUTRAL: Readonly<Record<string, readonly unknown[]>> = {
  mirostat: [0],
  typical_p: [1],
  typ_p: [1],
  tfs_z: [1],
  top_a: [0],
  top_n_sigma: [-1, 0],
  xtc_probability: [0],
  dynatemp_range: [0],
  dry_multiplier: [0],
  epsilon_cutoff: [0],
  eta_cutoff: [0],
  min_tokens: [0],
  no_repeat_ngram_size: [0],
  add_special_tokens: [true],
  min_keep: [0],
  n_keep: [0],
  n_indent: [0],
  t_max_predict_ms: [0],
  n_probs: [0],
  prompt_logprobs: [0, false],
  use_beam_search: [false],
  include_stop_str_in_output: [false],
  skip_special_tokens: [true],
  spaces_between_special_tokens: [true],
  add_generation_prompt: [true],
  continue_final_message: [false],
  truncate_prompt_tokens: [],
  grammar: [],
  grammar_lazy: [false],
  guided_regex: [],
  guided_grammar: [],
  guided_choice: [],
  logits_processors: [],
  bad_words: [],
  stop_token_ids: [],
  allowed_token_ids: [],
  samplers: [],
  lora: [],
  image_data: [],
  negative_prompt: [],
  guidance_scale: [1],
  chat_template: [],
  documents: [],
  web_search_options: [],
  thinking_budget: [-1],
  // Answers have no state here.
  store: [false],
  previous_response_id: [],
  conversation: [],
  background: [false],
};

/** The same thing by another name. */
const SAME: Readonly<Record<string, string>> = {
  repetition_penalty: 'repeat_penalty',
  guided_json: 'json_schema',
};

/** No limit but the context's end. */
export const MOST_TOKENS = 1_048_576;
/** How many tokens: the first that says something. llama.cpp's -1 is no limit. */
const LIMITS = ['max_completion_tokens', 'max_tokens', 'n_predict'];

/**
 * The fields of a request as the schemas here have them.
 * @throws ApiError 400 naming a field that would change the answer and that is not followed
 */
export function translateFields(body: unknown): unknown {
  if (!isObject(body)) return body;
  // Python's clients put it beside the other fields before they send; programs that write the request themselves do not.
  const { extra_body: extra, ...own } = body;
  const fields: Fields = isObject(extra) ? { ...extra, ...own } : own;
  for (const [foreign, name] of Object.entries(SAME)) rename(fields, foreign, name);
  for (const [name, neutral] of Object.entries(NEUTRAL)) {
    const value = fields[name];
    if (isUnset(value) || isEmpty(value) || neutral.includes(value)) continue;
    throw notFollowed(name, neutral);
  }
  if (fields.top_k === -1) fields.top_k = 0;
  if (fields.user === '') delete fields.user;
  const limits = LIMITS.filter((name) => !isUnset(fields[name]));
  if (limits.length > 0) {
    const limit = fields[limits[0]];
    for (const name of LIMITS) delete fields[name];
    fields[limits[0] === 'n_predict' ? 'max_tokens' : limits[0]] = limit === -1 ? MOST_TOKENS : limit;
  }
  if (isEmpty(fields.stop)) delete fields.stop;
  if (Array.isArray(fields.stop)) fields.stop = fields.stop.filter((text) => text !== '');
  const format = formatOf(fields);
  if (format !== undefined) fields.response_format = format;
  return fields;
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
