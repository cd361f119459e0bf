import { PynqLlmError } from '../../errors/index.js';

/** @param what cannot be done in a page, as the beginning of a sentence */
export function notInBrowsers(what: string): PynqLlmError {
  return new PynqLlmError('SDK_BROWSER', `${what} from a page.`);
}
