import { homedir } from 'node:os';
import { join } from 'node:path';

/** Where tests keep what is expensive to get or to build: in the user's cache, so that a fresh checkout has it too. */
export function cacheFolder(): string {
  const { XDG_CACHE_HOME: cache } = process.env;
  return join(
    cache !== undefined && cache !== '' ? cache : join(homedir(), '.cache'),
    'pynq-llm',
    'test-board',
  );
}
