import { PynqLlmError } from '../../errors/index.js';

/** In browsers, in the place of ../sha256.ts: only uploads need it. @throws PynqLlmError SDK_BROWSER */
export function sha256(): Uint8Array {
  throw new PynqLlmError('SDK_BROWSER', 'Models cannot be uploaded from a page.');
}
