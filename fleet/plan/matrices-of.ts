import type { TensorShape } from '../../driver/index.js';
import type { LayerShape } from '../../llm/index.js';

/** All matrices of a layer. */
export function matricesOf({ always, query, after, experts }: LayerShape): TensorShape[] {
  return [
    ...always,
    ...query,
    ...after.flat(),
    ...experts.flatMap(({ gateUp, down }) => [...gateUp, ...down]),
  ];
}
