import { z } from 'zod';
import { holdsUnseen } from '../../errors/index.js';
import { MAX_NAME_LENGTH, MAX_PIECE_BYTES, MAX_PROMPT_TOKENS, MAX_TEXT_LENGTH } from '../limits.js';

export const empty = z.strictObject({});

/** Any number: NaN and infinities occur in log-probabilities of hostile models. */
export const float = z.custom<number>((value) => typeof value === 'number', 'must be a number');

export const count = z.int().min(0);
export const uint32 = z.uint32();

/** SHA-256 in lower-case hexadecimal; see docs/protocol.md for what a model's digest covers. */
export const digest = z.string().regex(/^[0-9a-f]{64}$/, 'must be 64 lower-case hexadecimal digits');

export const bytes = z.custom<Uint8Array>((value) => value instanceof Uint8Array, 'must be bytes');
export const piece = bytes.refine(
  (value) => value.length <= MAX_PIECE_BYTES,
  `must be at most ${MAX_PIECE_BYTES} bytes`,
);

/**
 * For people: printed in lists, never part of a path. What nobody sees would drive a terminal, or make two names look like
 * one; nothing is changed in a name that is taken.
 */
export const name = z
  .string()
  .min(1)
  .max(MAX_NAME_LENGTH)
  .refine(
    (text) => !holdsUnseen(text),
    'must not hold control or formatting characters, line separators or halves of surrogate pairs',
  )
  .refine((text) => text.trim() === text, 'must not begin or end with white space');

/** Chosen by the client at random, so that it can name its generation although a reply was lost. */
export const generationId = z.string().regex(/^[0-9a-f]{32}$/, 'must be 32 lower-case hexadecimal digits');

/** How many entries a list may have. */
interface Bounds {
  readonly min: number;
  readonly max: number;
}

/**
 * A list that is checked up to its first wrong entry. `z.array` makes an issue, an object with texts, of everything that is
 * wrong: of 131,072 entries it would be seconds of a board's main thread.
 */
export function list<E extends z.ZodType>(entry: E, { min, max }: Bounds) {
  return z
    .array(z.unknown())
    .min(min)
    .max(max)
    .transform((values, context) => {
      const checked: z.output<E>[] = [];
      for (const [i, value] of values.entries()) {
        const { error, data } = entry.safeParse(value);
        if (error !== undefined) {
          const [first] = error.issues;
          // An issue that was reported, one level further out: its type is a union of all kinds' types.
          context.issues.push({ ...first, input: value, path: [i, ...first.path] } as z.core.$ZodRawIssue);
          return z.NEVER;
        }
        checked.push(data as z.output<E>);
      }
      return checked;
    });
}

export const text = z.string().max(MAX_TEXT_LENGTH);
/** An id of a vocabulary; which ids exist the model knows. */
export const tokenId = z.int().min(0).max(0xffff_ffff);
const isTokenId = (value: unknown): value is number =>
  typeof value === 'number' && Number.isInteger(value) && value >= 0 && value <= 0xffff_ffff;
/** As `list`, in one pass, because these are the long ones. */
export const tokenList = ({ min, max }: Bounds) =>
  z.custom<number[]>(Array.isArray, 'must be a list of token ids').superRefine((ids, context) => {
    const refuse = (message: string, path: number[] = []) =>
      context.addIssue({ code: 'custom', message, path });
    if (ids.length < min || ids.length > max) return refuse(`must have ${min} to ${max} token ids`);
    const wrong = ids.findIndex((id) => !isTokenId(id));
    if (wrong >= 0) refuse('must be a token id: a whole number from 0', [wrong]);
  });
export const tokens = tokenList({ min: 0, max: MAX_PROMPT_TOKENS });

/** From least to most. */
export const ROLES = ['read', 'infer', 'admin'] as const;
export const role = z.enum(ROLES);
/** What a client may do: look; also run models and upload them; also write registers and drive the device directly. */
export type Role = z.output<typeof role>;

/** How far a long request has come; sent on its stream as far as the client gives credit. */
export interface ProgressEvent {
  /** Amount that is finished, from 0 to `total`. */
  readonly done: number;
  /** Amount in all. */
  readonly total: number;
  /** What is counted. */
  readonly unit: ProgressUnit;
}
export const progressEvent: z.ZodType<ProgressEvent> = z.object({
  done: float,
  total: float,
  unit: z.enum(['bytes', 'tokens']),
});

/** What is counted: bytes of a file or of weights, or tokens of a text. */
export type ProgressUnit = 'bytes' | 'tokens';
/** Told how much of long work is finished, now and then: of `total`, in this unit. */
export type OnProgress = (done: number, total: number, unit: ProgressUnit) => void;
