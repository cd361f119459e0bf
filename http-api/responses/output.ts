import { randomBytes } from 'node:crypto';
import type { DoneEvent } from '../../sdk/index.js';
import { usageOf } from '../choices.js';
import type { Piece } from '../piece.js';

const newId = (prefix: string) => `${prefix}_${randomBytes(16).toString('hex')}`;

interface MessageItem {
  readonly id: string;
  readonly type: 'message';
  readonly role: 'assistant';
  status: 'in_progress' | 'completed' | 'incomplete';
  readonly content: { type: 'output_text'; text: string; annotations: []; logprobs: [] }[];
}

interface CallItem {
  readonly id: string;
  readonly type: 'function_call';
  readonly call_id: string;
  readonly name: string;
  arguments: string;
  status: 'in_progress' | 'completed' | 'incomplete';
}

type Item = MessageItem | CallItem;

/** An event of a streamed response, but for its number. */
export interface ResponseEvent {
  readonly type: string;
  readonly [field: string]: unknown;
}

/** A response that comes about of an answer's pieces, and the events that tell of it. */
export class ResponseOutput {
  readonly #head: object;
  readonly #items: Item[] = [];
  /** Index of the item that is being written. */
  #open: number | undefined;
  /** By the call's number in the answer: its item. */
  readonly #calls = new Map<number, number>();
  #done: DoneEvent | undefined;

  constructor(model: string, repeated: object) {
    this.#head = {
      id: newId('resp'),
      object: 'response',
      created_at: Math.floor(Date.now() / 1_000),
      model,
      error: null,
      ...repeated,
    };
  }

  /** The response as it is now. */
  get response(): object {
    const done = this.#done;
    const isCut = done !== undefined && (done.reason === 'max-tokens' || done.reason === 'context-full');
    const usage = done && usageOf([done], 1);
    return {
      ...this.#head,
      status: done === undefined ? 'in_progress' : isCut ? 'incomplete' : 'completed',
      incomplete_details: isCut ? { reason: 'max_output_tokens' } : null,
      output: this.#items,
      usage: usage
        ? {
            input_tokens: usage.prompt_tokens,
            input_tokens_details: usage.prompt_tokens_details,
            output_tokens: usage.completion_tokens,
            output_tokens_details: { reasoning_tokens: 0 },
            total_tokens: usage.total_tokens,
          }
        : null,
    };
  }

  begin(): ResponseEvent[] {
    return ['response.created', 'response.in_progress'].map((type) => ({ type, response: this.response }));
  }

  *take({ text, calls = [], finish }: Piece): Generator<ResponseEvent, void, void> {
    if (text !== '') yield* this.#addText(text);
    for (const { index, id, name, arguments: more } of calls) {
      if (id !== undefined && name !== undefined) yield* this.#beginCall(index, id, name);
      yield* this.#addArguments(index, more);
    }
    if (finish === undefined) return;
    // An answer of nothing is a message of nothing.
    if (this.#items.length === 0) yield* this.#addText('');
    this.#done = finish;
    const isCut = finish.reason === 'max-tokens' || finish.reason === 'context-full';
    yield* this.#closeItem(isCut ? 'incomplete' : 'completed');
    yield { type: isCut ? 'response.incomplete' : 'response.completed', response: this.response };
  }

  *#addText(text: string): Generator<ResponseEvent, void, void> {
    let index = this.#open;
    let item = index === undefined ? undefined : this.#items[index];
    if (index === undefined || item?.type !== 'message') {
      yield* this.#closeItem('completed');
      item = { id: newId('msg'), type: 'message', role: 'assistant', status: 'in_progress', content: [] };
      index = this.#add(item);
      yield { type: 'response.output_item.added', output_index: index, item: structuredClone(item) };
      const part = { type: 'output_text' as const, text: '', annotations: [] as [], logprobs: [] as [] };
      item.content.push(part);
      yield {
        ...this.#place(index),
        type: 'response.content_part.added',
        content_index: 0,
        part: { ...part },
      };
    }
    if (text === '') return;
    item.content[0].text += text;
    yield {
      ...this.#place(index),
      type: 'response.output_text.delta',
      content_index: 0,
      delta: text,
      logprobs: [],
    };
  }

  *#beginCall(call: number, callId: string, name: string): Generator<ResponseEvent, void, void> {
    yield* this.#closeItem('completed');
    const item: CallItem = {
      id: newId('fc'),
      type: 'function_call',
      call_id: callId,
      name,
      arguments: '',
      status: 'in_progress',
    };
    const index = this.#add(item);
    this.#calls.set(call, index);
    yield { type: 'response.output_item.added', output_index: index, item: { ...item } };
  }

  *#addArguments(call: number, more: string): Generator<ResponseEvent, void, void> {
    const index = this.#calls.get(call);
    const item = index === undefined ? undefined : this.#items[index];
    if (index === undefined || item?.type !== 'function_call' || more === '') return;
    item.arguments += more;
    yield { ...this.#place(index), type: 'response.function_call_arguments.delta', delta: more };
  }

  *#closeItem(status: 'completed' | 'incomplete'): Generator<ResponseEvent, void, void> {
    const index = this.#open;
    if (index === undefined) return;
    const item = this.#items[index];
    item.status = status;
    this.#open = undefined;
    const place = this.#place(index);
    if (item.type === 'message') {
      const [part] = item.content;
      yield { ...place, type: 'response.output_text.done', content_index: 0, text: part.text, logprobs: [] };
      yield { ...place, type: 'response.content_part.done', content_index: 0, part: { ...part } };
    } else {
      const { name, arguments: given } = item;
      yield { ...place, type: 'response.function_call_arguments.done', name, arguments: given };
    }
    yield { type: 'response.output_item.done', output_index: index, item: structuredClone(item) };
  }

  #add(item: Item): number {
    this.#open = this.#items.push(item) - 1;
    return this.#open;
  }

  #place(index: number): { item_id: string; output_index: number } {
    return { item_id: this.#items[index].id, output_index: index };
  }
}
