import { syntheticHeader, TINY_LLAMA_Q3_K_S } from '../../../bench/synthetic-model.js';
import { type BoardDescription, loadBoardDescription } from '../../../board/index.js';
import { fleetModel } from '../../../fleet/index.js';
import { GgmlType } from '../../../gguf/index.js';

export const TINY_LLAMA = fleetModel(syntheticHeader(TINY_LLAMA_Q3_K_S));

/** Of which the core takes nothing. */
export const IN_F16 = fleetModel(syntheticHeader({ ...TINY_LLAMA_Q3_K_S, typeOf: () => GgmlType.F16 }));

export const boardsOf = (count: number, name: string): BoardDescription[] =>
  new Array<BoardDescription>(count).fill(loadBoardDescription(name));

/** The code and the text of what is thrown. */
export function refusalOf(run: () => unknown): { readonly code: string; readonly message: string } {
  try {
    run();
  } catch (error) {
    return error as { code: string; message: string };
  }
  throw new Error('nothing was refused');
}
