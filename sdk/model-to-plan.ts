import { openModel } from './model-file.js';

/**
 * What of a model a board is asked about: its shapes, from its header. Browsers have none (`browser` in package.json).
 * @param model path of a file, or the bytes
 */
export async function modelToPlan(model: string | Uint8Array) {
  const { readModelToPlan } = await import('../agent/plan-on-board.js');
  using opened = openModel(model);
  return readModelToPlan(opened.source);
}
