import type { Engine, Model } from '../../llm/index.js';
import { MAX_PROMPT_TOKENS } from '../../protocol/index.js';
import type { QueuedMethod } from '../worker-link/methods.js';
import type { Caller, DeviceHandlers } from './handlers.js';
import type { ProgramThread } from './program-thread.js';
import type { RunningGenerations } from './running-generations.js';
import type { SessionPins } from './session-pins.js';
import type { Text, TextQueue } from './text-queue.js';
import {
  chatTokens,
  lengthOfConversation,
  lengthOfPrompt,
  piecesOf,
  promptTokens,
  textOf,
  textTokens,
} from './text-work.js';

interface TextHandlerParts {
  /** The model of a digest, and what runs on it. @throws PynqLlmError AGENT_MODEL_NOT_LOADED */
  readonly find: (digest: string) => {
    readonly model: Model;
    readonly engine: Engine;
    readonly generations: RunningGenerations;
  };
  readonly texts: TextQueue;
  readonly pins: SessionPins;
  readonly programs: ProgramThread;
}

/** What begins with a text: it waits for its turn to become tokens, or to become a text again. */
export function textHandlers({
  find,
  texts,
  pins,
  programs,
}: TextHandlerParts): DeviceHandlers<Exclude<QueuedMethod, 'score'>> {
  const add = (
    { id, session }: Caller,
    what: Pick<Text, 'client' | 'model' | 'generation' | 'pin' | 'length'>,
    work: () => Text['work'],
    deadlineMs?: number,
  ): undefined => texts.add({ call: id, session, deadlineMs, work: work(), ...what });

  return {
    'models.tokenize': ({ model, text, client, parseSpecial = false, addSpecial = true }, caller) => {
      const { tokenizer } = find(model).model;
      return add(caller, { client, model, length: text.length }, function* () {
        const most = MAX_PROMPT_TOKENS;
        return { tokens: yield* textTokens(tokenizer, text, { parseSpecial, addSpecial }, most) };
      });
    },

    'models.detokenize': ({ model, tokens, client }, caller) => {
      const { tokenizer } = find(model).model;
      return add(caller, { client, model, length: tokens.length }, function* () {
        return { text: yield* textOf(tokenizer, tokens) };
      });
    },

    'models.pieces': ({ model, tokens, client }, caller) => {
      const { tokenizer } = find(model).model;
      return add(caller, { client, model, length: tokens.length }, function* () {
        return { pieces: yield* piecesOf(tokenizer, tokens) };
      });
    },

    'models.applyTemplate': ({ model, addGenerationPrompt = true, client, ...conversation }, caller) => {
      const { tokenizer } = find(model).model;
      const own = programs.of(client);
      return add(caller, { client, model, length: lengthOfConversation(conversation) }, function* () {
        const most = MAX_PROMPT_TOKENS;
        return { tokens: yield* chatTokens(tokenizer, conversation, addGenerationPrompt, own, most) };
      });
    },

    'generate.start': (params, caller) => {
      const { generation, model: digest, prompt, continueFrom = [], sampling, client } = params;
      const { model, generations } = find(digest);
      const service = { ...params.service, client };
      const own = programs.of(client);
      const granted = { id: generation, credit: 0, replayedTokens: continueFrom.length };
      const left = timeLeft(service.deadlineMs);
      return add(
        caller,
        {
          client,
          model: digest,
          generation: granted,
          length: lengthOfPrompt(prompt) + continueFrom.length,
        },
        function* () {
          const tokens = yield* promptTokens(model, prompt, true, own);
          const { responseFormat } = sampling;
          if (responseFormat !== undefined)
            yield* model.constraints.prepare(responseFormat, (schema) => own.ask('schema', schema));
          yield* generations.start(generation, { prompt: tokens, continueFrom }, sampling, () => ({
            ...service,
            deadlineMs: left(),
          }));
          generations.find(generation)?.grant(granted.credit);
          return { promptTokens: tokens.length };
        },
        service.deadlineMs,
      );
    },

    // The answer comes as an event, once the prompt is computed.
    'models.pin': (params, caller) => {
      const { pin, model: digest, prompt, client } = params;
      const { model, engine } = find(digest);
      const { id: call, session } = caller;
      const service = { ...params.service, client };
      const own = programs.of(client);
      pins.checkNew(session, pin);
      const left = timeLeft(service.deadlineMs);
      return add(
        caller,
        { client, model: digest, pin, length: lengthOfPrompt(prompt) },
        function* () {
          const tokens = yield* promptTokens(model, prompt, false, own);
          pins.start({ session, pin, model: digest, call }, (sink) =>
            engine.pin(tokens, sink, { ...service, deadlineMs: left() }),
          );
          return undefined;
        },
        service.deadlineMs,
      );
    },
  };
}

/** What is left of a time that begins now, at least a bit of it. */
function timeLeft(deadlineMs: number | undefined): () => number | undefined {
  const start = performance.now();
  return () => deadlineMs && Math.max(1, deadlineMs - (performance.now() - start));
}
