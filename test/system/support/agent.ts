import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type AgentHandle, type AgentOptions, startAgent } from '../../../agent/index.js';

export const TINY_MODEL = 'models/tiny-stories-Q3_K_M.gguf';

/** A directory that is gone after the test. */
export function temporaryDirectory(): { readonly path: string; [Symbol.dispose](): void } {
  const path = mkdtempSync(join(tmpdir(), 'pynq-llm-test-'));
  return { path, [Symbol.dispose]: () => rmSync(path, { recursive: true, force: true }) };
}

/** An agent of this process on a free port of loopback, with a store of its own. */
export async function testAgent(options: Partial<AgentOptions> = {}): Promise<AgentHandle> {
  const store = temporaryDirectory();
  const agent = await startAgent({
    device: 'mock:',
    listen: '127.0.0.1:0',
    storeDir: store.path,
    ...options,
  });
  const close = async () => {
    await agent.close();
    store[Symbol.dispose]();
  };
  return { ...agent, close, [Symbol.asyncDispose]: close };
}
