import { describe } from 'vitest';
import { simulationSuite } from '../unit/llm/scheduling/simulation-suite.js';
import { TIMINGS } from '../unit/llm/scheduling/timings.js';

describe.each(TIMINGS.filter(({ timing }) => timing !== 'synthesised'))(
  'in the $timing timing',
  simulationSuite,
);
