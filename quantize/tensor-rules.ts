import { createContext, Script } from 'node:vm';
import { PynqLlmError } from '../errors/index.js';
import { BLOCK_FORMATS, type GgmlType } from '../gguf/index.js';
import type { TensorRule } from './tensor-types.js';

/** Longer expressions are nobody's. */
const MAX_RULE_LENGTH = 200;
/** A name has 64 bytes: an expression that is not through with one by then never will be. */
const MATCH_MS = 1000;

/**
 * Reads `PATTERN=TYPE`, as llama-quantize's --tensor-type: a regular expression for a part of a tensor's name.
 * @throws PynqLlmError QUANTIZE_BAD_RULE, also where the rule is asked and the expression does not come to an end
 */
export function parseTensorRule(text: string): TensorRule {
  const at = text.lastIndexOf('=');
  const [pattern, name] = [text.slice(0, at), text.slice(at + 1).toUpperCase()];
  if (at <= 0 || text.length > MAX_RULE_LENGTH) throw bad(text, 'it is no PATTERN=TYPE');
  const type = tensorTypeOf(name) ?? unknownType(text, name);
  return { matches: matcherOf(text, pattern), type };
}

/** A type for one tensor alone. */
export function exactRule(name: string, type: GgmlType): TensorRule {
  return { matches: (one) => one === name, type };
}

/** A type of tensors by its name, in whatever case; undefined where there is none that can be made. */
export function tensorTypeOf(name: string): GgmlType | undefined {
  const found = Object.entries(BLOCK_FORMATS).find(([, format]) => format.name === name.toUpperCase());
  return found === undefined || found[1].name === 'Q8_K' ? undefined : (Number(found[0]) as GgmlType);
}

function unknownType(text: string, name: string): never {
  throw bad(text, `there is no tensor type ${JSON.stringify(name)}`);
}

const MATCH = new Script('pattern.test(name)');

/** Only a script of its own can be ended while an expression is looking for a match. */
function matcherOf(text: string, pattern: string): (name: string) => boolean {
  const scope = createContext({ pattern: patternOf(text, pattern), name: '' });
  return (name) => {
    scope.name = name;
    try {
      return MATCH.runInContext(scope, { timeout: MATCH_MS }) as boolean;
    } catch {
      throw bad(text, `its expression does not come to an end with ${JSON.stringify(name)}`);
    }
  };
}

function patternOf(text: string, pattern: string): RegExp {
  try {
    return new RegExp(pattern);
  } catch (cause) {
    throw bad(text, cause instanceof Error ? cause.message : String(cause));
  }
}

function bad(text: string, why: string): PynqLlmError {
  return new PynqLlmError('QUANTIZE_BAD_RULE', `The rule ${JSON.stringify(text)} cannot be used: ${why}.`, {
    context: { rule: text },
  });
}
