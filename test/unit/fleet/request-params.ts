export const ID = 'a'.repeat(32);
/** A request of a client, whose prompt is tokens. */
export const PARAMS = {
  generation: ID,
  model: 'b'.repeat(64),
  prompt: { tokens: [1, 2, 3] },
  sampling: { maxTokens: 4, temperature: 0, seed: 0 },
  window: 8,
};
