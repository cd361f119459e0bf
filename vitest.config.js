import { defineConfig } from 'vitest/config';

const project = (name, include, exclude = [], limits = {}) => ({
  extends: true,
  test: { name, include: include.map((path) => `dist/test/${path}`), exclude, ...limits },
});
const slow = { testTimeout: 120_000, hookTimeout: 120_000 };

// Tests run from dist/: the files that ship are the files that are tested, workers and command line included.
export default defineConfig({
  test: {
    // For machines that are busy: what should be quick is seen in the report.
    testTimeout: 60_000,
    expect: { poll: { timeout: 10_000 } },
    globalSetup: 'scripts/build-wasm.mjs',
    pool: 'forks',
    reporters: ['default', './scripts/report-skips.mjs'],
    maxWorkers: 2,
    // What ships is loaded by Node.js itself, as users load it, and not rewritten by vitest first: no test mocks a module.
    server: { deps: { external: [/\/dist\/(?!test\/)/] } },
    projects: [
      // The modules' own state is caches alone: files share what they import.
      project('quick', ['{unit,conformance}/**/*.test.js'], ['**/conformance/device.test.js'], {
        isolate: false,
      }),
      project('system', ['system/**/*.test.js'], [], slow),
      // What proves rare things at length: npm run test:all.
      project('long', ['long/**/*.test.js'], [], slow),
      project('board', ['board/**/*.test.js'], [], { testTimeout: 900_000, hookTimeout: 3_000_000 }),
      project('device', ['conformance/device.test.js'], [], slow),
    ],
  },
});
