import { expect, it } from 'vitest';
import type { ResponseFormat } from '../../../constraint/index.js';
import { Random } from '../../../maths/index.js';
import { tinyStories } from '../llm/models.js';

const { config, tokenizer, constraints } = tinyStories();

it.each<[string, ResponseFormat]>([
  ['any object', { type: 'json-object' }],
  [
    'a schema',
    {
      type: 'json-schema',
      schema: JSON.stringify({
        type: 'array',
        items: { anyOf: [{ enum: ['ö€', 1.5, null] }, { type: 'string', maxLength: 5 }] },
        maxItems: 4,
      }),
    },
  ],
])('a single token is allowed where the mask of all tokens has it: %s', (_, format) => {
  const random = new Random(3);
  let looked = 0;
  for (let document = 0; document < 4; document++) {
    const constraint = constraints.create(format);
    for (let length = 0; length < 30 && !constraint.isFinished; length++) {
      const logits = new Float64Array(config.vocabSize);
      constraint.apply(logits);
      const masked = [...logits.keys()].filter((id) => logits[id] === 0);
      const allowed = [...logits.keys()].filter((id) => constraint.allows(id));
      expect(allowed).toEqual(masked);
      const going = masked.filter((id) => !tokenizer.eosIds.has(id));
      if (going.length === 0) break;
      constraint.accept(going[Math.floor(random.nextDouble() * going.length)]);
      looked++;
    }
  }
  expect(looked).toBeGreaterThan(20);
});
