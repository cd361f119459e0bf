import { homedir } from 'node:os';
import { join } from 'node:path';

/** Where models are stored unless told otherwise: $PYNQ_LLM_HOME, or `pynq-llm` in the user's cache directory. */
export function defaultStoreDir(): string {
  const { PYNQ_LLM_HOME: own, XDG_CACHE_HOME: cache } = process.env;
  if (own !== undefined && own !== '') return own;
  return join(cache !== undefined && cache !== '' ? cache : join(homedir(), '.cache'), 'pynq-llm');
}
