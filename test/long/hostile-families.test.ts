import { describe } from 'vitest';
import { F16, hostileFamilies, SHORT } from '../unit/llm/model/hostile-families.js';

describe('a model of a family that is not what it says ends in a typed error', () => {
  hostileFamilies(F16.filter(([file]) => !SHORT.test(file)));
});
