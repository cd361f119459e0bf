import { existsSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { build } from 'esbuild';
import { configDefaults, defineConfig } from 'vitest/config';

/**
 * A thread's first file is loaded by Node.js, past vitest, and beside the sources there is no .js: it becomes one module inside its URL,
 * and what it was made from is watched.
 */
const threadsFromSource = {
  name: 'threads-from-source',
  enforce: 'pre',
  async transform(code, id) {
    let result = code;
    for (const [url, file] of code.matchAll(/new URL\('(\.\/[\w-]+)\.js', import\.meta\.url\)/g)) {
      const entry = `${resolve(dirname(id), file)}.ts`;
      if (!existsSync(entry)) continue;
      const { outputFiles, metafile } = await build({
        entryPoints: [entry],
        bundle: true,
        write: false,
        metafile: true,
        platform: 'node',
        format: 'esm',
        target: 'node20.11',
        external: ['koffi', 'msgpackr-extract'],
        logLevel: 'silent',
      });
      for (const input of Object.keys(metafile.inputs)) this.addWatchFile(resolve(input));
      const module = Buffer.from(outputFiles[0].contents).toString('base64');
      result = result.replace(url, `new URL('data:text/javascript;base64,${module}')`);
    }
    return result === code ? undefined : { code: result, map: null };
  },
};

// Unit tests from their TypeScript, for the loop of save and see. What ships is tested by vitest.config.js, from dist/.
export default defineConfig({
  plugins: [threadsFromSource],
  server: { watch: { ignored: ['**/dist/**', '**/*.wasm', '**/test-results/**'] } },
  test: {
    include: ['test/unit/**/*.test.ts'],
    testTimeout: 60_000,
    globalSetup: 'scripts/build-wasm.mjs',
    // No module imports the kernels' sources.
    forceRerunTriggers: [...configDefaults.forceRerunTriggers, '**/assembly/*.ts'],
    pool: 'forks',
    maxWorkers: 2,
  },
});
