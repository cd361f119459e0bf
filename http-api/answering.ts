import type { DoneEvent, Generation, Token } from '../sdk/index.js';

/** What an answer comes from: a generation, or nothing where no token was asked for. */
export type Answering = Pick<Generation, 'admitted' | 'done' | 'progress' | 'cancel'> & AsyncIterable<Token>;

/** The end of an answer of no tokens. */
export function nothing(promptTokens: number): Answering {
  const done: DoneEvent = {
    type: 'done',
    reason: 'max-tokens',
    text: '',
    tokens: 0,
    timing: { queuedMs: 0, prefillMs: 0, decodeMs: 0, promptTokens, generatedTokens: 0 },
    counters: newCost(),
  };
  return {
    admitted: Promise.resolve(),
    progress: async () => undefined,
    done: Promise.resolve(done),
    cancel: async () => {},
    async *[Symbol.asyncIterator]() {},
  };
}

function newCost(): DoneEvent['counters'] {
  return {
    registerReads: 0,
    registerWrites: 0,
    dmaTransfers: 0,
    dmaBytes: 0,
    coreCycles: 0,
    coreMultiplyAdds: 0,
    cpuMultiplyAdds: 0,
  };
}
