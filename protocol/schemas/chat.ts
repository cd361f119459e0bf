import { z } from 'zod';
import { MAX_TOOLS_LENGTH } from '../limits.js';
import { list, text } from './common.js';

/** A function that the assistant called. */
export interface ToolCall {
  /** By which the result refers to it. */
  readonly id: string;
  /** Of the function. */
  readonly name: string;
  /** A JSON object, as JSON text. */
  readonly arguments: string;
}
const toolCall: z.ZodType<ToolCall> = z.strictObject({
  id: z.string().min(1).max(100),
  name: z.string().min(1).max(100),
  arguments: text,
});

/** One message of a conversation. */
export interface ChatMessage {
  /** Who says it: `system`, `developer`, `user`, `assistant` or `tool`. */
  readonly role: string;
  /** What is said. */
  readonly content: string;
  /** Functions that it called: of an assistant's message. At most 128. */
  readonly toolCalls?: readonly ToolCall[] | undefined;
  /** The call that it answers: of a tool's message. */
  readonly toolCallId?: string | undefined;
}
const chatMessage: z.ZodType<ChatMessage> = z.strictObject({
  role: z.string().min(1).max(40),
  content: text,
  toolCalls: z.array(toolCall).max(128).optional(),
  toolCallId: z.string().min(1).max(100).optional(),
});

/** A conversation, for the model's chat template. */
export interface Conversation {
  /** The oldest message first, 1 to 1,000. */
  readonly messages: readonly ChatMessage[];
  /** Functions that may be called: a JSON list of `{"type":"function","function":{"name","description","parameters"}}`, as JSON text. */
  readonly tools?: string | undefined;
  /** Variables of the template, such as `enable_thinking`; at most 32. */
  readonly variables?: Readonly<Record<string, string | number | boolean | null>> | undefined;
  /** The day that a template which asks for it is told, as YYYY-MM-DD; 2024-07-26 unless given, so that answers can be repeated. */
  readonly date?: string | undefined;
}
const variable = z.union([z.string().max(10_000), z.number(), z.boolean(), z.null()]);
export const conversationFields = {
  messages: list(chatMessage, { min: 1, max: 1_000 }),
  tools: z.string().max(MAX_TOOLS_LENGTH).optional(),
  variables: z
    .record(z.string().regex(/^[A-Za-z_]\w{0,63}$/), variable)
    .refine((variables) => Object.keys(variables).length <= 32, 'at most 32 variables')
    .optional(),
  date: z.iso.date().optional(),
};
export const conversation: z.ZodType<Conversation> = z.strictObject(conversationFields);
