import { execFile } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { promisify } from 'node:util';
import { afterAll, expect, it } from 'vitest';
import { connect } from '../../sdk/index.js';
import { TINY_MODEL, temporaryDirectory } from './support/agent.js';
import { cliAgent } from './support/cli.js';

const home = temporaryDirectory();
afterAll(() => home[Symbol.dispose]());

async function run(args: readonly string[]): Promise<string> {
  const { PYNQ_LLM_DEVICE: _, ...inherited } = process.env;
  const env = { ...inherited, PYNQ_LLM_HOME: home.path, NO_COLOR: '1' };
  return (await promisify(execFile)(process.execPath, args, { env, timeout: 100_000 })).stdout;
}

/** What the bundled model writes, greedily. */
async function continuation(prompt: string, maxTokens: number, ignoreEos = false): Promise<string> {
  await using board = await connect('mock:', { storeDir: home.path });
  const model = await board.models.upload(TINY_MODEL);
  return await model.generate(prompt, { maxTokens, temperature: 0, ignoreEos }).text();
}

it('are all listed, and short', () => {
  const readme = readFileSync('examples/README.md', 'utf8');
  const programs = readdirSync('examples').filter((file) => /\.mjs$/.test(file) && !file.includes('config'));
  expect(programs).toHaveLength(5);
  for (const file of programs) {
    expect(readme).toContain(`(${file})`);
    expect(readFileSync(`examples/${file}`, 'utf8').split('\n').length).toBeLessThan(60);
  }
});

it('story.mjs streams a story and says what it cost', async () => {
  const said = await run(['examples/story.mjs']);
  const [, reason, cycles] = /\n\nended by ([\w-]+); (\d+) core cycles\n$/.exec(said) ?? [];
  expect(['max-tokens', 'end-of-text']).toContain(reason);
  expect(Number(cycles)).toBeGreaterThan(1_000_000);
  expect(said.split(' ').length).toBeGreaterThan(30);
});

it('two-clients.mjs cancels one client and leaves the other its whole text', async () => {
  const said = await run(['examples/two-clients.mjs']);
  expect(said).toContain('first client: cancelled after 5 tokens\n');
  const prompt = 'Lily saw a big dog.';
  expect(said).toContain(`second client: ${prompt}${await continuation(prompt, 40, true)}\n`);
});

it('registers.mjs reads registers and counters, and gets back what it wrote to DMA memory', async () => {
  const said = await run(['examples/registers.mjs']);
  expect(said).toMatch(/^dma0\.MM2S_DMASR at 0x40400004 is 0x[0-9a-f]+: .*IRQ_THRESHOLD_STATUS=1/m);
  expect(Number(/^compute (\d+) cycles in /m.exec(said)?.[1])).toBeGreaterThan(1_000);
  expect(said).toMatch(/^DMA memory at 0x[0-9a-f]+000: 0 0 1 2 3 4 0 0$/m);
});

it('openai.mjs gets the text that the SDK gets', async () => {
  await using agent = await cliAgent(home.path);
  await using board = await connect(agent.url);
  await board.models.upload(TINY_MODEL);
  const said = await run(['examples/openai.mjs', `${agent.url.replace('ws:', 'http:')}/v1`]);
  expect(said).toBe(`model tiny-stories-Q3_K_M.gguf\n${await continuation('Once upon a time', 40)}\n`);
});
