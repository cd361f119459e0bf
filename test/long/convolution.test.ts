import { describe } from 'vitest';
import { convolutionSuite } from '../unit/llm/engine/convolution-suite.js';

describe('a model that convolves, with keys and values as halves', () => convolutionSuite('f16'));
