import { join } from 'node:path';
import { afterAll, it } from 'vitest';
import { temporaryDirectory } from '../system/support/agent.js';
import { losesNoPage } from '../unit/llm/engine/random-requests.js';

const directory = temporaryDirectory();
afterAll(() => directory[Symbol.dispose]());

it.each([
  ['f16', 10_000],
  ['int8', 2_000],
] as const)('of %s no page is lost after %s random requests with cancels', (type, requests) => {
  losesNoPage(type, requests, join(directory.path, type));
});
