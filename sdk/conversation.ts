import type { Conversation, Params } from '../protocol/index.js';

type WireConversation = Omit<Params<'models.applyTemplate'>, 'model' | 'addGenerationPrompt'>;

/** A copy: nobody changes what is on its way. */
export function toWireConversation({ messages, tools, variables, date }: Conversation): WireConversation {
  return {
    messages: messages.map((message) => ({ ...message })),
    ...(tools === undefined ? {} : { tools }),
    ...(variables === undefined ? {} : { variables: { ...variables } }),
    ...(date === undefined ? {} : { date }),
  };
}
