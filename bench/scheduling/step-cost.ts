import { loadBoardDescription } from '../../board/index.js';
import { StepCost, stepShape } from '../../llm/index.js';
import { syntheticHeader, TINY_LLAMA_Q3_K_S } from '../synthetic-model.js';

/** As many as llm/load-model.ts has unless told otherwise. */
export const MAX_COLUMNS = 64;

const SHAPE = stepShape(syntheticHeader(TINY_LLAMA_Q3_K_S));
const BOARD = loadBoardDescription('pynq-z1');

/**
 * What steps of TinyLlama-1.1B in Q3_K_S cost on one core, weights resident, in the timings in which policies are simulated: the
 * synthesised core's at both ends of what its unpacker may take, and the model's.
 */
export const STEP_COSTS = {
  synthesised: new StepCost(SHAPE, { ...BOARD, timing: 'synthesised', unpack: 'words' }),
  'synthesised, unpack=hls': new StepCost(SHAPE, { ...BOARD, timing: 'synthesised', unpack: 'hls' }),
  systemc: new StepCost(SHAPE, { ...BOARD, timing: 'systemc', unpack: 'words' }),
} as const;
