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

export const text = z.string().max(MAX_TEXT_LENGTH);
/** An id of a vocabulary; which ids exist the model knows. */
export const tokenId = z.int().min(0).max(0xffff_ffff);
export const tokens = z.array(tokenId).max(MAX_PROMPT_TOKENS);

/** From least to most. */
export const ROLES = ['read', 'infer', 'admin'] as const;
export const role = z.enum(ROLES);
/** What a client may do: look; also run models and upload them; also write registers and drive the device directly. */
export type Role = z.output<typeof role>;

/** How far a long request has come; sent on its stream as far as the client gives credit. */
export const progressEvent = z.object({ done: float, total: float });
