import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { AgentOptions, ServedAgent } from '../../../agent/index.js';
import { serveAgent } from '../../../agent/start-agent.js';

export const TINY_MODEL = 'models/tiny-stories-Q3_K_M.gguf';

/** A directory that is gone after the test. */
export function temporaryDirectory(): { readonly path: string; [Symbol.dispose](): void } {
  const path = mkdtempSync(join(tmpdir(), 'pynq-llm-test-'));
  return { path, [Symbol.dispose]: () => rmSync(path, { recursive: true, force: true }) };
}

/**
 * Device URL of a mock PYNQ-Z1 with a hundredth of its clock, in real time and in the SystemC model's cycles: what has to be under way is still so when
 * the test gets there.
 * @param folder where its description is written
 */
export function slowMock(folder: string): string {
  const path = join(folder, 'slow.toml');
  const z1 = readFileSync('boards/pynq-z1.toml', 'utf8');
  const timed = z1.replace(/^timing = "synthesised"$/m, 'timing = "systemc"');
  const slow = timed.replace(/^clock_hz = 100_000_000$/m, 'clock_hz = 1_000_000');
  if (timed === z1 || slow === timed) throw new Error('pynq-z1.toml has another clock or timing now');
  writeFileSync(path, slow);
  return `mock:${path}?realtime=1`;
}

/** An agent of this process on a free port of loopback, with a store of its own. */
export async function testAgent(options: Partial<AgentOptions> = {}): Promise<ServedAgent> {
  const store = temporaryDirectory();
  const agent = await serveAgent({
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
