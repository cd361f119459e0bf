import type { KeyRights } from '../bus/index.js';
import {
  BEGINNINGS,
  BOARDS,
  BOARDS_API,
  callsOf,
  controlOf,
  ENDS,
  hopOf,
  hopsTo,
  LOG,
  MODEL_FILE,
  MODEL_PIECE,
  PLANS,
  pagesOf,
  TOKENS,
  WORK_QUEUE,
} from './subjects.js';

/**
 * What a board's key may do on the fleet's broker, and nothing else: work off its own lane, say what came of it below its own
 * name, say that it lives, answer the gateway, ask for models, and be a stage of one that is cut over boards. It reads no log and no lease, not even its own.
 * Whatever else a member comes to use on the bus belongs here, too: a board that is enrolled cannot do it otherwise.
 */
export function boardRights(board: string): KeyRights {
  return {
    inbox: board,
    api: BOARDS_API,
    pulls: [{ queue: WORK_QUEUE, lane: board }],
    appends: [BEGINNINGS, TOKENS, ENDS].map((kind) => ({ log: LOG, pattern: `${kind}.${board}.*` })),
    writes: [{ bucket: BOARDS, key: board }],
    reads: [PLANS],
    // Which pages of prompts it has, and what its stage of a model tells others': who says it is the subject's last part.
    publishes: [MODEL_FILE, MODEL_PIECE, pagesOf(board), hopOf('*', board)],
    subscribes: [callsOf(board), controlOf(board), hopsTo(board)],
  };
}
