import type { MsgHdrs } from '@nats-io/transport-node';
import { PynqLlmError } from '../../errors/index.js';
import type { Stored } from '../bus.js';
import { apiError, WRONG_LAST_SEQUENCE } from './errors.js';
import type { NatsLink } from './link.js';
import { parseAnswer } from './streams.js';

/** The header by which a stream refuses duplicates, and by which readers know what was stored through a Bus. */
export const ID_HEADER = 'Nats-Msg-Id';
const EXPECT_STREAM = 'Nats-Expected-Stream';
const EXPECT_LAST = 'Nats-Expected-Last-Subject-Sequence';
/** Of a bucket's entry: that its key was deleted. */
export const OPERATION_HEADER = 'KV-Operation';
export const DELETE = 'DEL';

/** What is stored, and on what condition. */
export interface Storing {
  readonly stream: string;
  readonly subject: string;
  /** The whole header. */
  readonly id: string;
  readonly data: Uint8Array;
  /** Stored only where this is the last sequence of the subject: 0 for none. */
  readonly expect?: number;
  readonly deleted?: boolean;
}

/**
 * Stores a message in a stream; sent again with the same id until its answer came.
 * @returns undefined where the condition does not hold
 */
export async function store(
  link: NatsLink,
  headers: MsgHdrs,
  { stream, subject, id, data, expect, deleted }: Storing,
  timeoutMs: number,
): Promise<Stored | undefined> {
  headers.set(ID_HEADER, id);
  headers.set(EXPECT_STREAM, stream);
  if (expect !== undefined) headers.set(EXPECT_LAST, String(expect));
  if (deleted) headers.set(OPERATION_HEADER, DELETE);
  const what = `Nothing was stored in ${stream}`;
  const missing = () =>
    new PynqLlmError('BUS_MISSING', `The broker has no stream ${stream} that takes ${subject}.`, {
      context: { stream, subject },
    });
  const answer = await link.call(subject, data, timeoutMs, missing, headers);
  const { error, seq, duplicate } = parseAnswer<{ seq?: unknown; duplicate?: unknown }>(answer.data, what);
  if (error?.err_code === WRONG_LAST_SEQUENCE) return undefined;
  if (error) throw apiError(what, error);
  if (typeof seq !== 'number') throw new PynqLlmError('BUS_REFUSED', `${what}: the answer has no sequence.`);
  return { sequence: seq, duplicate: duplicate === true };
}
