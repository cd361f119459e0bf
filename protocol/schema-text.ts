import { PynqLlmError } from '../errors/index.js';
import { MAX_SCHEMA_DEPTH, MAX_SCHEMA_LENGTH } from './limits.js';

/**
 * A JSON schema as the text that goes to the agent.
 * @param schema the text itself, or what it says
 * @throws PynqLlmError LLM_SCHEMA_TOO_LARGE, LLM_SCHEMA_INVALID where JSON cannot say it
 */
export function schemaText(schema: object | boolean | string): string {
  if (typeof schema === 'string') return schema;
  checkSize(schema);
  let text: string;
  try {
    text = JSON.stringify(schema);
  } catch (cause) {
    throw new PynqLlmError('LLM_SCHEMA_INVALID', 'The schema cannot be written as JSON.', { cause });
  }
  if (text.length > MAX_SCHEMA_LENGTH) throw tooLong();
  return text;
}

/**
 * Before anything is written, so that what is refused costs little. Level by level, because `JSON.stringify` overflows the
 * stack on what nests some thousand levels deep.
 */
function checkSize(schema: unknown): void {
  // What is met again, as in a cycle, is looked at once.
  const seen = new Set<unknown>();
  let level = [schema];
  /** Characters that it takes at least: a value and what parts it from the next, names and texts. */
  let length = 0;
  for (let depth = 0; level.length > 0; depth++) {
    if (depth > MAX_SCHEMA_DEPTH)
      throw new PynqLlmError(
        'LLM_SCHEMA_TOO_LARGE',
        `The schema nests more than ${MAX_SCHEMA_DEPTH} levels deep.`,
      );
    const next: unknown[] = [];
    for (const value of level) {
      length += 2 + (typeof value === 'string' ? value.length : 0);
      if (length > MAX_SCHEMA_LENGTH + 2) throw tooLong();
      if (typeof value !== 'object' || value === null || seen.has(value)) continue;
      seen.add(value);
      const names = Array.isArray(value) ? [] : Object.keys(value);
      if (names.length > MAX_SCHEMA_LENGTH) throw tooLong();
      for (const name of names) length += name.length;
      for (const inner of Array.isArray(value) ? value : Object.values(value)) {
        if (next.push(inner) > MAX_SCHEMA_LENGTH) throw tooLong();
      }
    }
    level = next;
  }
}

function tooLong(): PynqLlmError {
  return new PynqLlmError(
    'LLM_SCHEMA_TOO_LARGE',
    `The schema is longer than ${MAX_SCHEMA_LENGTH} characters.`,
  );
}
