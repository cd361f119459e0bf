import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll } from 'vitest';
import { conformanceSuite } from '../conformance/suite.js';

const storeDir = mkdtempSync(join(tmpdir(), 'conformance-'));
afterAll(() => rmSync(storeDir, { recursive: true, force: true }));

for (const device of ['mock:kv260-2026-v3', 'mock:kv260-2026-v4'])
  conformanceSuite(
    device,
    () => device,
    () => ({ storeDir }),
  );
