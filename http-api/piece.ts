import type { DoneEvent } from '../sdk/index.js';
import type { ReportedToken } from './reported-token.js';

/** Text that has become certain, with the tokens that it came from; `finish` with the last piece of a choice. */
export interface Piece {
  readonly text: string;
  readonly tokens: readonly ReportedToken[];
  readonly finish: DoneEvent | undefined;
  /** Parts of calls of functions, which are not part of the text. */
  readonly calls?: readonly CallDelta[];
}

/** A part of a call that has come. */
export interface CallDelta {
  /** Of the call in its answer. */
  readonly index: number;
  /** With the first part. */
  readonly id?: string;
  readonly name?: string;
  /** JSON text that follows what came before. */
  readonly arguments: string;
}
