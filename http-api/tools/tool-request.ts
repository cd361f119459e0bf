import type { ResponseFormat } from '../../sdk/index.js';
import { ApiError } from '../api-error.js';
import type { Tool, ToolFields } from './tool-schemas.js';

/** What a request says of functions. */
export interface ToolRequest {
  /** As the chat template is given them: a JSON list; undefined where there are none, or none may be called. */
  readonly text: string | undefined;
  readonly functions: readonly Tool['function'][];
  /** The form that the answer has, where it has to be a call. */
  readonly forced: ResponseFormat | undefined;
  /** Calls that are read of an answer. */
  readonly most: number;
}

const NONE: ToolRequest = { text: undefined, functions: [], forced: undefined, most: 0 };

/** @throws ApiError 400 where a call is wanted that no function answers */
export function toolRequestOf(fields: ToolFields): ToolRequest {
  const tools = fields.tools ?? [];
  const choice = fields.tool_choice ?? (tools.length > 0 ? 'auto' : 'none');
  if (choice === 'none') return NONE;
  const functions = tools.map((tool) => tool.function);
  const named = typeof choice === 'object' ? choice.function.name : undefined;
  const callable = named === undefined ? functions : functions.filter(({ name }) => name === named);
  if (callable.length === 0) {
    if (choice === 'auto') return NONE;
    const what = named === undefined ? 'A function has to be called' : `"${named}" has to be called`;
    throw new ApiError(400, `${what}, and tools has none such.`, 'invalid_value', 'tool_choice');
  }
  return {
    text: JSON.stringify(tools),
    functions,
    forced: choice === 'auto' ? undefined : forcedCall(callable),
    most: fields.parallel_tool_calls === false ? 1 : 128,
  };
}

/** The form of an answer that is a call of one of some functions, arguments held to their schema. */
export function forcedCall(functions: readonly Tool['function'][]): ResponseFormat {
  const forms = functions.map(({ name, parameters }) => ({
    type: 'object',
    properties: { name: { const: name }, arguments: parameters ?? { type: 'object' } },
    required: ['name', 'arguments'],
    additionalProperties: false,
  }));
  return { type: 'json-schema', schema: forms.length === 1 ? forms[0] : { anyOf: forms } };
}
