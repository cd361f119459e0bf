import { defineConfig } from 'vitest/config';

// Tests run from dist/: the files that ship are the files that are tested, workers and command line included.
export default defineConfig({
  test: {
    testTimeout: 20_000,
    pool: 'forks',
    maxWorkers: 2,
    projects: [
      { extends: true, test: { name: 'quick', include: ['dist/test/{unit,conformance}/**/*.test.js'] } },
      {
        extends: true,
        test: {
          name: 'system',
          include: ['dist/test/system/**/*.test.js'],
          testTimeout: 120_000,
          hookTimeout: 120_000,
        },
      },
    ],
  },
});
