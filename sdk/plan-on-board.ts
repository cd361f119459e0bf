import { z } from 'zod';
import type { BoardPlan } from '../agent/plan-on-board.js';
import { optionsOf, requireArguments } from './arguments.js';
import { type LoadSettings, settingsOf } from './model.js';
import { openModelFile } from './model-file.js';

const ARGUMENTS = z.object({ path: z.string(), board: z.string(), settings: optionsOf({}) });

/**
 * Where a model's tensors would go on a board, and what it would take of its memory: needs no board.
 * @param path a GGUF file, or the first one of a split model, of which the header is read
 * @param board a shipped description, such as `pynq-z1-360`, or a .toml file
 * @throws PynqLlmError SDK_MODEL_FILE, GGUF_..., LLM_... as loading it would, DRIVER_BOARD_UNKNOWN, DRIVER_BOARD_FILE_INVALID
 */
export async function planOnBoard(
  path: string,
  board: string,
  settings: LoadSettings = {},
): Promise<BoardPlan> {
  requireArguments({ path, board, settings }, ARGUMENTS);
  const { planOnBoard: plan, readModelToPlan } = await import('../agent/plan-on-board.js');
  using source = openModelFile(path);
  return plan(readModelToPlan(source), board, settingsOf(settings));
}
