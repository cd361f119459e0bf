import { PynqLlmError } from '../errors/index.js';
import { MAX_SCHEMA_DEPTH } from '../protocol/index.js';

/**
 * A JSON schema as the text that goes to the agent.
 * @param schema the text itself, or what it says
 * @throws PynqLlmError LLM_SCHEMA_TOO_LARGE, LLM_SCHEMA_INVALID where JSON cannot say it
 */
export function schemaText(schema: object | boolean | string): string {
  if (typeof schema === 'string') return schema;
  checkDepth(schema);
  try {
    return JSON.stringify(schema);
  } catch (cause) {
    throw new PynqLlmError('LLM_SCHEMA_INVALID', 'The schema cannot be written as JSON.', { cause });
  }
}

/** Level by level, because `JSON.stringify` overflows the stack on what nests some thousand levels deep. */
function checkDepth(schema: unknown): void {
  // What is met again, as in a cycle, is looked at once.
  const seen = new Set<unknown>();
  let level = [schema];
  for (let depth = 0; level.length > 0; depth++) {
    if (depth > MAX_SCHEMA_DEPTH)
      throw new PynqLlmError(
        'LLM_SCHEMA_TOO_LARGE',
        `The schema nests more than ${MAX_SCHEMA_DEPTH} levels deep.`,
      );
    level = level.flatMap((value): unknown[] => {
      if (typeof value !== 'object' || value === null || seen.has(value)) return [];
      seen.add(value);
      return Object.values(value);
    });
  }
}
