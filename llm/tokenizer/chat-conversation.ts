export const CHAT_ROLES = ['system', 'developer', 'user', 'assistant', 'tool'] as const;
export type ChatRole = (typeof CHAT_ROLES)[number];

/** A function that the assistant called. */
export interface ToolCall {
  readonly id: string;
  readonly name: string;
  /** A JSON object, as JSON text. */
  readonly arguments: string;
}

/** One message of a conversation. Its content is text only: names of control tokens in it are not the tokens. */
export interface ChatMessage {
  readonly role: ChatRole;
  readonly content: string;
  /** Of an assistant's message. */
  readonly toolCalls?: readonly ToolCall[] | undefined;
  /** Of a tool's message: the call that it answers. */
  readonly toolCallId?: string | undefined;
}

/** What a chat template renders. */
export interface Conversation {
  readonly messages: readonly ChatMessage[];
  /** A JSON list of functions as the OpenAI API has them, as JSON text; none unless given. */
  readonly tools?: string | undefined;
  /** Further variables of the template, such as `enable_thinking`. */
  readonly variables?: Readonly<Record<string, string | number | boolean | null>> | undefined;
  /** What a template that asks for the day is told, as YYYY-MM-DD; {@link TEMPLATE_DATE} unless given. */
  readonly date?: string | undefined;
}

/** The same messages give the same tokens on every day: what the templates of Llama 3.2 take where they are told no date. */
export const TEMPLATE_DATE = '2024-07-26';
