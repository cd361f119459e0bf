import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll } from 'vitest';
import { conformanceSuite } from './suite.js';

const storeDir = mkdtempSync(join(tmpdir(), 'conformance-'));
afterAll(() => rmSync(storeDir, { recursive: true, force: true }));

// Cores of other revisions: test/system.
conformanceSuite(
  'mock:',
  () => 'mock:',
  () => ({ storeDir }),
);
