import { z } from 'zod';
import { list } from '../../protocol/index.js';

const isObject = (value: unknown): value is object =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
const functionName = z
  .string()
  .regex(/^[A-Za-z0-9_-]{1,64}$/, 'a function has a name of 1 to 64 letters, digits, "_" and "-"');

const tool = z.object({
  type: z.literal('function', 'only functions are supported as tools'),
  function: z.object({
    name: functionName,
    description: z.string().max(100_000).nullish(),
    /** Not copied, like schemas of answers: the engine decides about it. */
    parameters: z.custom<object>(isObject, 'parameters are a JSON schema of an object').nullish(),
    strict: z.boolean().nullish(),
  }),
});
export type Tool = z.output<typeof tool>;

const toolCall = z.object({
  id: z.string().min(1).max(100),
  type: z.literal('function').nullish(),
  function: z.object({ name: z.string().min(1).max(100), arguments: z.string() }),
});
/** Calls of an assistant's earlier message. */
export const toolCalls = list(toolCall, { min: 0, max: 128 }).nullish();

export const toolFields = {
  tools: list(tool, { min: 0, max: 128 }).nullish(),
  tool_choice: z
    .union([
      z.enum(['none', 'auto', 'required']),
      z.object({ type: z.literal('function'), function: z.object({ name: z.string().max(100) }) }),
    ])
    .nullish(),
  parallel_tool_calls: z.boolean().nullish(),
};
export type ToolFields = z.output<z.ZodObject<typeof toolFields>>;
