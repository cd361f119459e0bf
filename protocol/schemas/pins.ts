import { z } from 'zod';
import { count, digest, generationId } from './common.js';
import { prompt } from './generate.js';
import { serviceOptions } from './sampling.js';

/** Chosen by the client at random, as a generation's: it can release what it was not told of yet. */
const pinId = generationId;

export const pinParams = z.strictObject({
  pin: pinId,
  model: digest,
  /** A conversation is taken as it is, without the beginning of an answer. */
  prompt,
  service: serviceOptions.optional(),
});
export const pinResult = z.object({
  /** Tokens of the prompt that are kept: whole pages. */
  tokens: count,
});

export const pinReference = z.strictObject({ pin: pinId });
