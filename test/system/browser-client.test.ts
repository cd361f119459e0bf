import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { build } from 'esbuild';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { AgentHandle } from '../../agent/index.js';
import { connect } from '../../sdk/index.js';
import { TINY_MODEL, temporaryDirectory, testAgent } from './support/agent.js';

const CHROMIUM = ['chromium', 'chromium-browser', 'google-chrome'].find((name) => {
  try {
    execFileSync(name, ['--version'], { stdio: 'ignore', timeout: 20_000 });
    return true;
  } catch {
    return false;
  }
});

const PAGE = `
import { connect, isPynqLlmError } from 'pynq-llm/client';

async function told() {
  const board = await connect(location.hash.slice(1));
  try {
    const [{ names: [name] }] = await board.models.list();
    const model = await board.models.load(name);
    const tokens = [];
    for await (const token of model.generate('Once upon a time', { maxTokens: 8, temperature: 0 })) tokens.push(token);
    const cut = model.generate('Once upon a time', { maxTokens: 400, ignoreEos: true });
    for await (const _ of cut) break;
    const refused = await board.models.upload(new Uint8Array(8)).catch((error) => isPynqLlmError(error) && error.code);
    const buffer = await board.buffers.allocate(4096);
    await buffer.write(Uint8Array.of(1, 2, 3), 64);
    const back = [...(await buffer.read(63, 5))];
    const [{ fields }] = await board.registers.read(['dma0.MM2S_DMASR']);
    const { traffic } = await board.counters.read();
    return { device: board.info.device, text: tokens.map(({ text }) => text).join(''), logprob: tokens[0].logprob,
      reason: (await cut.done).reason, refused, back, fields: fields.length, multiplyAdds: traffic.multiplyAdds };
  } finally {
    await board.close();
  }
}

told().catch((error) => ({ failed: String(error.stack) })).then((result) =>
  fetch('/result', { method: 'POST', body: JSON.stringify(result) }));
`;

describe('pynq-llm/client', () => {
  it('connects in Node.js too, and refuses what is no WebSocket', async () => {
    const { connect: connectClient } = await import('../../sdk/client.js');
    await using agent = await testAgent();
    await using board = await connectClient(agent.url);
    expect(board.info.device).toBe('mock:');
    await expect(connectClient('mock:')).rejects.toMatchObject({ code: 'SDK_ARGUMENT' });
  });
});

describe.skipIf(CHROMIUM === undefined)('pynq-llm/client in a page (needs Chromium)', () => {
  const folder = join('dist', 'test', 'tmp', `page-${process.pid}`);
  let pages: Server;
  let agent: AgentHandle;
  const home = temporaryDirectory();
  let result: Promise<Record<string, unknown>>;
  let origin: string;

  beforeAll(async () => {
    mkdirSync(folder, { recursive: true });
    // Inside the package, so that `pynq-llm` means this package.
    writeFileSync(join(folder, 'page.mjs'), PAGE);
    const { warnings } = await build({
      entryPoints: [join(folder, 'page.mjs')],
      outfile: join(folder, 'page.js'),
      bundle: true,
      format: 'esm',
      logLevel: 'silent',
    });
    expect(warnings).toEqual([]);
    pages = createServer();
    result = new Promise((resolve) => {
      pages.on('request', async (request, response) => {
        if (request.url === '/result') {
          let body = '';
          for await (const part of request) body += part;
          response.end();
          return resolve(JSON.parse(body));
        }
        const isCode = request.url === '/page.js';
        response.setHeader('content-type', isCode ? 'text/javascript' : 'text/html');
        response.end(
          isCode
            ? readFileSync(join(folder, 'page.js'))
            : '<!doctype html><script type="module" src="/page.js"></script>',
        );
      });
    });
    pages.listen(0, '127.0.0.1');
    await once(pages, 'listening');
    origin = `http://127.0.0.1:${(pages.address() as AddressInfo).port}`;
    agent = await testAgent({ origins: [origin] });
    await using board = await connect(agent.url);
    await board.models.store(TINY_MODEL);
  });
  afterAll(async () => {
    pages?.close();
    await agent?.close();
    home[Symbol.dispose]();
    rmSync(folder, { recursive: true, force: true });
  });

  it('generates, cancels, reads registers and DMA memory, with the texts of Node.js', async () => {
    const flags = ['--headless', '--no-sandbox', '--disable-gpu', '--remote-debugging-port=0'];
    const browser = spawn(CHROMIUM!, [...flags, `--user-data-dir=${home.path}`, `${origin}/#${agent.url}`], {
      stdio: 'ignore',
      detached: true,
    });
    try {
      const told = await result;
      await using board = await connect(agent.url);
      const model = await board.models.load('tiny-stories-Q3_K_M.gguf');
      const tokens = [];
      for await (const token of model.generate('Once upon a time', { maxTokens: 8, temperature: 0 }))
        tokens.push(token);
      expect(told).toMatchObject({
        device: 'mock:',
        text: tokens.map(({ text }) => text).join(''),
        logprob: tokens[0].logprob,
        reason: 'cancelled',
        refused: 'SDK_BROWSER',
        back: [0, 1, 2, 3, 0],
      });
      expect(told.fields).toBeGreaterThan(3);
      expect(told.multiplyAdds).toBeGreaterThan(1_000_000);
    } finally {
      // The browser has processes of its own.
      process.kill(-browser.pid!, 'SIGKILL');
    }
  });
});
