import type { ReportedToken } from './reported-token.js';
import type { CallDelta } from './tools/call-pieces.js';

/** How an endpoint writes its answers. */
export interface AnswerFormat {
  readonly idPrefix: string;
  readonly object: string;
  readonly chunkObject: string;
  /** Where the request asked for log-probabilities: what writes those of one answer, piece after piece. */
  readonly logprobs: (() => WriteLogprobs) | undefined;
  /** A whole answer of a choice. */
  readonly choice: (text: string, calls: readonly CallDelta[]) => object;
  /** A streamed piece of one; `first` for the first of a choice. */
  readonly piece: (text: string, first: boolean, calls: readonly CallDelta[]) => object;
}

/** Writes the log-probabilities of the next tokens of an answer. */
export type WriteLogprobs = (tokens: readonly ReportedToken[]) => Promise<unknown>;
