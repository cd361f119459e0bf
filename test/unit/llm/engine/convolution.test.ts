import { describe } from 'vitest';
import { convolutionSuite } from './convolution-suite.js';

// As halves: test/long.
describe('a model that convolves, with keys and values in INT8', () => convolutionSuite('int8'));
