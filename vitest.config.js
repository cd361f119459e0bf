import { defineConfig } from 'vitest/config';

const project = (name, include, exclude = [], limits = {}) => ({
  extends: true,
  test: { name, include: include.map((path) => `dist/test/${path}`), exclude, ...limits },
});
const slow = { testTimeout: 120_000, hookTimeout: 120_000 };
const ALONE = [
  // Kills by the clock: on a busy machine the broker is killed as often as it has written something.
  'broker-kills',
  'hostile-memory',
  'http-fairness',
  'load',
  'refusal-instructions',
  'upload-instructions',
].map((name) => `long/${name}.test.js`);
/** The modules' own state is caches alone: files share what they import. */
const shared = { isolate: false };
/** There are more workers than cores: helpers of the garbage collector only take them from each other. */
const quick = { ...shared, execArgv: ['--single-threaded-gc'] };

// Tests run from dist/: the files that ship are the files that are tested, workers and command line included.
export default defineConfig({
  test: {
    // For machines that are busy: what should be quick is seen in the report.
    testTimeout: 60_000,
    expect: { poll: { timeout: 10_000 } },
    globalSetup: 'scripts/build-wasm.mjs',
    pool: 'forks',
    reporters: ['default', './scripts/report-skips.mjs'],
    // One more than the cores of a small machine: many tests wait for processes and clocks.
    maxWorkers: 3,
    // What ships is loaded by Node.js itself, as users load it, and not rewritten by vitest first: no test mocks a module.
    server: { deps: { external: [/\/dist\/(?!test\/)/] } },
    projects: [
      project('quick', ['{unit,conformance}/**/*.test.js'], ['**/conformance/device.test.js'], quick),
      project('system', ['system/**/*.test.js'], [], { ...slow, ...shared }),
      // What proves rare things at length: npm run test:all.
      project(
        'long',
        ['long/**/*.test.js'],
        ALONE.map((path) => `**/${path}`),
        slow,
      ),
      // What counts or measures, and would count the waiting for others: a file at a time, after the others.
      project('alone', ALONE, [], { ...slow, maxWorkers: 1, sequence: { groupOrder: 1 } }),
      // Processes over a real broker, killed at every token: `npm run test:fleet`. A file at a time, as they keep both cores of a small machine busy.
      project('fleet', ['fleet/**/*.test.js'], [], {
        testTimeout: 300_000,
        hookTimeout: 300_000,
        maxWorkers: 1,
        sequence: { groupOrder: 2 },
      }),
      // A model of a billion weights takes QEMU 11 minutes of computing, on a busy machine an hour: `npm run test:board:large`.
      project('board-large', ['board/tiny-llama.test.js'], [], {
        testTimeout: 3_600_000,
        hookTimeout: 3_000_000,
      }),
      project('board', ['board/**/*.test.js'], ['**/tiny-llama.test.js'], {
        testTimeout: 900_000,
        hookTimeout: 3_000_000,
      }),
      project('device', ['conformance/device.test.js'], [], slow),
    ],
  },
});
