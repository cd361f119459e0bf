import { isPynqLlmError } from '../../errors/index.js';
import type { ChosenBoard } from './devices.js';

/** More than a board in the next room takes for an SSH login and an answer. */
const REACH_MS = 8_000;

/** Whether a board's agent answers. */
export interface Reach {
  /** The agent's state, or the code of the error; `none` for a mock, which begins with its client. */
  readonly state: string;
  readonly answers: boolean;
  readonly error?: string;
}

/** Asks a board's agent how it is, without asking the user anything. */
export async function reachBoard(board: ChosenBoard, signal: AbortSignal): Promise<Reach> {
  if (board.device === 'mock' || board.device.startsWith('mock:'))
    return { state: 'in this process', answers: true };
  const { connect } = await import('../../sdk/index.js');
  const deadline = AbortSignal.timeout(REACH_MS);
  try {
    await using client = await connect(board.device, {
      token: board.token,
      fingerprint: board.tlsFingerprint,
      timeoutMs: REACH_MS,
      reconnectMs: 0,
      signal: AbortSignal.any([signal, deadline]),
    });
    return { state: (await client.health()).state, answers: true };
  } catch (error) {
    signal.throwIfAborted();
    const message = deadline.aborted ? `No answer within ${REACH_MS / 1000} s.` : String(error);
    const state = deadline.aborted ? 'no answer' : isPynqLlmError(error) ? error.code : 'failed';
    return {
      state,
      answers: false,
      error: isPynqLlmError(error) && !deadline.aborted ? error.message : message,
    };
  }
}
