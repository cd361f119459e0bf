import { notInBrowsers } from './in-browser.js';

/** In browsers, in the place of ../model-to-plan.ts. @throws PynqLlmError SDK_BROWSER */
export function modelToPlan(): Promise<never> {
  return Promise.reject(notInBrowsers('Files cannot be read'));
}
