import { it } from 'vitest';
import { FAMILY_FILES, familyCostsThatOfLoaded, SHORT } from '../unit/llm/step-cost/loaded-costs.js';

it.each(FAMILY_FILES.filter((file) => !SHORT.test(file)))(
  'the cycles of a step of %s are those of the loaded model, in every timing',
  familyCostsThatOfLoaded,
);
