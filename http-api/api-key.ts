import { createHash, timingSafeEqual } from 'node:crypto';
import type { Role } from '../sdk/index.js';
import { ApiError } from './api-error.js';

/**
 * Lets in who shows the key, or everybody where there is none. Compares digests, so that the time tells nothing about it.
 * @returns throws ApiError 401
 */
export function checkKey(apiKey: string | undefined): (key: string | undefined) => Role {
  if (apiKey === undefined) return () => 'infer';
  const digest = (text: string) => createHash('sha256').update(text).digest();
  const expected = digest(apiKey);
  return (key) => {
    if (!timingSafeEqual(digest(key ?? ''), expected))
      throw new ApiError(401, 'The API key is missing or wrong.', 'invalid_api_key');
    return 'infer';
  };
}
