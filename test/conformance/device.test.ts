import { conformanceSuite } from './suite.js';

// Only through `npm run test:conformance -- --device URL`.
const device = process.env.PYNQ_LLM_DEVICE ?? 'mock:';
const token = process.env.PYNQ_LLM_TOKEN;

conformanceSuite(
  device,
  () => device,
  () => (token === undefined ? {} : { token }),
);
