import { readBench } from '../hil/bench-file.js';
import { conformanceSuite } from './suite.js';

// Only through `npm run test:conformance -- --device URL`, and `npm run test:hil`, which names a bench file as well.
const device = process.env.PYNQ_LLM_DEVICE ?? 'mock:';
const token = process.env.PYNQ_LLM_TOKEN;
const bench = process.env.PYNQ_LLM_BENCH;

conformanceSuite(
  device,
  () => device,
  () => (token === undefined ? {} : { token }),
  bench === undefined ? undefined : readBench(bench).may,
);
