import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { build } from 'esbuild';
import { describe, expect, it } from 'vitest';
import { noNatsServer, TestNatsServer } from '../support/nats-server.js';

describe.skipIf(noNatsServer)(`the bus in one bundle${noNatsServer ? `: ${noNatsServer}` : ''}`, () => {
  it('runs without node_modules, as on a board', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'bus-bundle-'));
    try {
      const program = `
        import { connectNats, createKey } from ${JSON.stringify(resolve('dist/bus/index.js'))};
        const bus = await connectNats({ url: process.argv[2] });
        await bus.declareBucket({ name: 'B', maxBytes: 0 });
        console.log(await bus.bucket('B').put('k', Buffer.from('x')), await createKey('${folder}/key.nk'));
        await bus.close();`;
      // As scripts/build-bundle.mjs bundles the agent.
      await build({
        stdin: { contents: program, resolveDir: process.cwd() },
        outdir: folder,
        bundle: true,
        splitting: true,
        platform: 'node',
        format: 'esm',
        target: 'node20.11',
        external: ['msgpackr-extract'],
        banner: {
          js: "import { createRequire } from 'node:module'; const require = createRequire(import.meta.url);",
        },
        logLevel: 'warning',
      });
      writeFileSync(join(folder, 'package.json'), '{ "type": "module" }');
      await using server = await TestNatsServer.start();
      const said = execFileSync(process.execPath, [join(folder, 'stdin.js'), server.url], {
        cwd: folder,
        encoding: 'utf8',
        timeout: 20_000,
      });
      expect(said).toMatch(/^1 U[A-Z2-7]{55}\n$/);
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  });
});
