import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll } from 'vitest';
import { conformanceSuite } from './suite.js';

const folder = mkdtempSync(join(tmpdir(), 'conformance-'));
let agent: ChildProcess;
let url = '';

beforeAll(async () => {
  const flags = ['agent', '--listen', 'ws://127.0.0.1:0', '--store-dir', folder, '--log-level', 'warn'];
  agent = spawn(process.execPath, ['dist/cli/main.js', ...flags], { stdio: ['ignore', 'pipe', 'inherit'] });
  const [line] = (await once(agent.stdout!, 'data')) as [Buffer];
  url = line.toString().trim();
});
afterAll(() => {
  agent.kill();
  rmSync(folder, { recursive: true, force: true });
});

conformanceSuite('an agent in another process', () => url);
