import { type Pausable, runToEnd } from '../../constraint/index.js';
import { PynqLlmError } from '../../errors/index.js';
import { CHAT_ROLES, type Conversation } from './chat-conversation.js';
import { type ChatFrame, ChatRenderer } from './chat-renderer.js';
import { checkToolCalls, checkTools } from './chat-tools.js';
import type { Tokenizer } from './index.js';

/** Has a conversation rendered, in time. */
export type Render = (
  frame: ChatFrame,
  conversation: Conversation,
  addGenerationPrompt: boolean,
) => Pausable<string>;

/**
 * A model's chat template (Jinja, as Hugging Face's chat templates use it).
 *
 * Rendered text is encoded with the names of control tokens parsed, since templates write them so. Contents of messages go
 * into the template with every such name broken up by a character that the tokenizer takes out again
 * ({@link Tokenizer.protect}), so that they can't forge a turn, while the template may still trim, test and cut them. Roles
 * are a closed list for the same reason. A template is told a fixed day, so the same messages give the same tokens.
 */
export class ChatTemplate {
  readonly #tokenizer: Tokenizer;
  readonly #frame: ChatFrame;

  /**
   * @param source the template, if not the model's own
   * @throws PynqLlmError LLM_CHAT_TEMPLATE_MISSING
   */
  constructor(tokenizer: Tokenizer, source: string | undefined = tokenizer.chatTemplate) {
    if (source === undefined || source.trim() === '') {
      throw new PynqLlmError('LLM_CHAT_TEMPLATE_MISSING', 'The model file has no tokenizer.chat_template.');
    }
    this.#tokenizer = tokenizer;
    const bos = this.#nameOf(tokenizer.bosId);
    this.#frame = { source, names: tokenizer.trustedNames, bos, eos: this.#nameOf(tokenizer.eosId) };
  }

  /**
   * The tokens of a conversation, BOS included where the model wants it.
   *
   * @param conversation at least one message
   * @param addGenerationPrompt whether the beginning of the assistant's answer follows
   * @throws PynqLlmError LLM_CHAT_MESSAGES, LLM_CHAT_REFUSED, LLM_CHAT_TURN_LOST, LLM_CHAT_TEMPLATE_INVALID, LLM_TEXT_UNENCODABLE
   */
  encode(conversation: Conversation, addGenerationPrompt = true): number[] {
    return runToEnd(
      this.encodePausably(conversation, addGenerationPrompt, renderHere, Number.POSITIVE_INFINITY),
    );
  }

  /**
   * The same with pauses for other work, and no further than to the first token over `most`, or soon after it: a result
   * that is longer is not the whole conversation's.
   *
   * @throws PynqLlmError LLM_CHAT_MESSAGES, LLM_CHAT_REFUSED, LLM_CHAT_TURN_LOST, LLM_CHAT_TEMPLATE_INVALID, LLM_TEXT_UNENCODABLE
   */
  *encodePausably(
    conversation: Conversation,
    addGenerationPrompt: boolean,
    render: Render,
    most: number,
  ): Pausable<number[]> {
    checkConversation(conversation);
    const text = yield* render(this.#frame, conversation, addGenerationPrompt);
    const options = { parseSpecial: true, addSpecial: false };
    const ids = yield* this.#tokenizer.encodePausably(text, options, most);
    const { bosId, addsBos } = this.#tokenizer;
    // Most templates write BOS themselves; a second one would confuse the model.
    return addsBos && bosId !== undefined && ids[0] !== bosId ? [bosId, ...ids] : ids;
  }

  #nameOf(id: number | undefined): string {
    return id === undefined ? '' : new TextDecoder().decode(this.#tokenizer.pieceBytes(id));
  }
}

// biome-ignore lint/correctness/useYield: rendering cannot be paused
function* renderHere(...[frame, conversation, addGenerationPrompt]: Parameters<Render>): Pausable<string> {
  return new ChatRenderer(frame.source).render(frame, conversation, addGenerationPrompt);
}

function checkConversation({ messages, tools }: Conversation): void {
  if (messages.length === 0) throw new PynqLlmError('LLM_CHAT_MESSAGES', 'There are no messages.');
  for (const [index, { role, content, toolCalls }] of messages.entries()) {
    if (!CHAT_ROLES.includes(role) || typeof content !== 'string')
      throw new PynqLlmError('LLM_CHAT_MESSAGES', `Message ${index} has an unknown role or no text.`, {
        context: { index, role: String(role) },
      });
    if (toolCalls !== undefined) checkToolCalls(toolCalls, index, role);
  }
  if (tools !== undefined) checkTools(tools);
}
