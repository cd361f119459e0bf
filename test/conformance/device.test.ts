import { accessOf, readBench } from '../hil/bench-file.js';
import { conformanceSuite } from './suite.js';

// Only through `npm run test:conformance -- --device URL`, and `npm run test:hil`, which names a bench file instead.
const { PYNQ_LLM_BENCH: file, PYNQ_LLM_DEVICE: url = 'mock:', PYNQ_LLM_TOKEN: token } = process.env;
const bench = file === undefined ? undefined : readBench(file);
const device = bench?.device ?? url;

conformanceSuite(
  device,
  () => device,
  () => (bench === undefined ? { token } : accessOf(bench)),
  bench?.may,
);
