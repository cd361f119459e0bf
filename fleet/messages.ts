import { z } from 'zod';
import { PynqLlmError } from '../errors/index.js';
import {
  type BoardInfo,
  checkEvent,
  checkParams,
  checkResult,
  decodeFrame,
  encodeFrame,
  type GenerateEvent,
  type Params,
  wireError,
} from '../protocol/index.js';

const count = z.int().min(0);
const digest = z.string().regex(/^[0-9a-f]{64}$/);
const generation = z.string().regex(/^[0-9a-f]{32}$/);
/** Something that the protocol has a schema of: it throws what `safeParse` is to report. */
const checked = <T>(check: (value: unknown) => T): z.ZodType<T> =>
  z.unknown().transform((value, context) => {
    try {
      return check(value);
    } catch (error) {
      context.addIssue({ code: 'custom', message: error instanceof Error ? error.message : String(error) });
      return z.NEVER;
    }
  });

/** A request in the hands of a board. */
export interface Order {
  /** How many boards had it before, and this one. */
  readonly delivery: number;
  /** Tokens numbered below this may be generated; more is told later. */
  readonly credit: number;
  /** As the board's own agent takes it. */
  readonly params: Params<'generate.start'>;
}
export const order: z.ZodType<Order> = z.object({
  delivery: z.int().min(1),
  credit: count,
  params: checked((value) => checkParams('generate.start', value)),
});

/** What the gateway tells a board of a request that it has. */
export type Control =
  | { readonly kind: 'grant'; readonly generation: string; readonly credit: number }
  | { readonly kind: 'cancel'; readonly generation: string };
export const control: z.ZodType<Control> = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('grant'), generation, credit: count }),
  z.object({ kind: z.literal('cancel'), generation }),
]);

/** A board has taken a request into its engine. */
export interface Beginning {
  readonly delivery: number;
  readonly promptTokens: number;
}
export const beginning: z.ZodType<Beginning> = z.object({ delivery: z.int().min(1), promptTokens: count });

/** A token, or the end, of a request. */
export interface Outcome {
  readonly delivery: number;
  readonly event: GenerateEvent;
}
export const outcome: z.ZodType<Outcome> = z.object({
  delivery: z.int().min(1),
  event: checked((value) => checkEvent('generate.start', value)),
});

/** A call of one of the protocol's methods. */
export const boardCall = z.object({ method: z.string(), params: z.unknown() });

/** A model on a board, as the board says it. */
export type BoardModel = {
  readonly digest: string;
  /** Counts the times that the board was asked to load it while it had it not. */
  readonly attempt: number;
} & (
  | { readonly state: 'loading'; readonly done: number; readonly total: number }
  | { readonly state: 'loaded' }
  | { readonly state: 'failed'; readonly error: z.output<typeof wireError> }
);
const model = { digest, attempt: count };
const boardModel: z.ZodType<BoardModel> = z.discriminatedUnion('state', [
  z.object({ ...model, state: z.literal('loading'), done: z.number(), total: z.number() }),
  z.object({ ...model, state: z.literal('loaded') }),
  z.object({ ...model, state: z.literal('failed'), error: wireError }),
]);

/** What a board answers when it is asked to load a model. */
export const loadBegun = z.object({ attempt: count });

/** What a board says of itself, in its lease. */
export interface BoardRecord {
  readonly info: BoardInfo;
  /** Milliseconds of silence after which it counts as dead. */
  readonly leaseMs: number;
  /** Requests that it wants to have in hand. */
  readonly places: number;
  /** It ends once what it has in hand has ended. */
  readonly isDraining: boolean;
  readonly models: readonly BoardModel[];
}
export const boardRecord: z.ZodType<BoardRecord> = z.object({
  info: checked((value) => checkResult('board.info', value)),
  leaseMs: z.int().min(1),
  places: z.int().min(1).max(1_024),
  isDraining: z.boolean(),
  models: z.array(boardModel).max(512),
});

export const fileQuestion = z.object({ digest });
/** What has to be known of a model's file to fetch it. */
export const fileAnswer = z.object({
  name: z.string(),
  bytes: z.int().min(1),
  chunkDigests: z.instanceof(Uint8Array),
});
/** A piece of a broker's message is smaller than a chunk of a model. */
export const MAX_PIECE_BYTES = 512 * 1024;
export const pieceQuestion = z.object({
  digest,
  offset: count,
  byteLength: z.int().min(1).max(MAX_PIECE_BYTES),
});

export function pack(message: object): Uint8Array {
  // The packer's memory is used again for the next one.
  return new Uint8Array(encodeFrame(message));
}

/** @throws PynqLlmError FLEET_BAD_MESSAGE */
export function unpack<T>(schema: z.ZodType<T>, data: Uint8Array, what: string): T {
  let value: unknown;
  try {
    value = decodeFrame(data);
  } catch (cause) {
    throw bad(what, cause);
  }
  return check(schema, value, what);
}

/** @throws PynqLlmError FLEET_BAD_MESSAGE */
export function readRecord(text: string, board: string): BoardRecord {
  const what = `What board ${board} says of itself`;
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw bad(what, cause);
  }
  return check(boardRecord, value, what);
}

function check<T>(schema: z.ZodType<T>, value: unknown, what: string): T {
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  throw bad(what, parsed.error);
}

function bad(what: string, cause: unknown): PynqLlmError {
  const first = cause instanceof z.ZodError ? cause.issues[0] : undefined;
  const why = first === undefined ? String(cause) : `${first.path.join('.')}: ${first.message}`;
  return new PynqLlmError('FLEET_BAD_MESSAGE', `${what} cannot be read: ${why.slice(0, 300)}.`, { cause });
}
