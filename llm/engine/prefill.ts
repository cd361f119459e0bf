import type { PynqLlmError } from '../../errors/index.js';
import type { TokenSink } from './job.js';
import type { PrefillSequence } from './prefill-sequence.js';

/** Takes what comes of given tokens: one of the three, once; inside of the call where nothing has to be computed. */
export interface PrefillSink<T> {
  onDone(result: T): void;
  onCancelled(): void;
  onError(error: PynqLlmError): void;
}

/** Given tokens that are being computed. */
export interface EnginePrefill {
  /** Tokens, and how many of them are computed. */
  readonly total: number;
  readonly done: number;
  /** Ends it before the next step. Harmless when it has ended. */
  cancel(): void;
}

/**
 * Takes given tokens through the engine, where anything of them is to be computed.
 * @param enter queues their sequence @returns what cancels it
 */
export function prefill<T>(
  sequence: PrefillSequence<T>,
  sink: PrefillSink<T>,
  enter: (sink: TokenSink) => () => void,
): EnginePrefill {
  const total = sequence.promptTokens;
  const { result } = sequence;
  if (result !== undefined) {
    sink.onDone(result);
    return { total, done: total, cancel: () => undefined };
  }
  const cancel = enter({
    onToken: () => undefined,
    onDone: () => {
      const { result } = sequence;
      if (result === undefined) sink.onCancelled();
      else sink.onDone(result);
    },
    onError: (error) => sink.onError(error),
  });
  return {
    total,
    get done() {
      return total - sequence.left;
    },
    cancel,
  };
}
