import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { AgentChild } from './agent-child.js';

/** Runs `measure` beside an agent in another process, in a temporary folder that goes afterwards. */
export async function withAgent<T>(measure: (child: AgentChild, folder: string) => Promise<T>): Promise<T> {
  const folder = mkdtempSync(join(tmpdir(), 'pynq-llm-bench-'));
  const script = fileURLToPath(new URL('./agent-child.js', import.meta.url));
  const process_ = spawn(process.execPath, [script, folder], { stdio: ['pipe', 'pipe', 'inherit'] });
  try {
    const [line] = (await once(process_.stdout, 'data', { signal: AbortSignal.timeout(30_000) })) as [Buffer];
    return await measure(JSON.parse(line.toString()) as AgentChild, folder);
  } finally {
    process_.stdin.end();
    process_.kill();
    rmSync(folder, { recursive: true, force: true });
  }
}
