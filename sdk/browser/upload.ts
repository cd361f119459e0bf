import { notInBrowsers } from './in-browser.js';

/** In browsers, in the place of ../upload.ts. @throws PynqLlmError SDK_BROWSER */
export function upload(): Promise<never> {
  return Promise.reject(notInBrowsers('Models cannot be uploaded'));
}
