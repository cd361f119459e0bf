import { it } from 'vitest';
import { givesTheSameCut } from '../unit/llm/engine/random-cuts.js';
import { tinyStoriesOnCore } from '../unit/llm/models.js';

it('150 requests of any options, cut several times anywhere, give what they give uncut', () => {
  givesTheSameCut(tinyStoriesOnCore(128), 150);
});
