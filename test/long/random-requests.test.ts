import { join } from 'node:path';
import { afterAll, it } from 'vitest';
import { temporaryDirectory } from '../system/support/agent.js';
import { losesNoPage } from '../unit/llm/engine/random-requests.js';

const directory = temporaryDirectory();
afterAll(() => directory[Symbol.dispose]());

it.each([
  ['f16', 10_000, 'attention'],
  ['int8', 2_000, 'attention'],
  ['f16', 2_000, 'convolution'],
  ['int8', 2_000, 'convolution'],
] as const)('of %s no page is lost after %s random requests with cancels: %s', (type, requests, mixer) => {
  losesNoPage(type, requests, join(directory.path, `${type}-${mixer}`), mixer);
});
