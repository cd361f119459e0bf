import { isPynqLlmError, type PynqLlmError } from '../../errors/index.js';
import type { BoardHealth, BoardInfo, StoredModel } from '../../protocol/index.js';
import type { BoardClient } from '../board-client.js';
import { type ConnectOptions, connect, requireConnectArguments } from '../connect.js';
import { AgentService } from './agent-service.js';
import type { UnitState } from './unit-state.js';

/** What an agent and, over SSH, its service say of themselves. */
export interface AgentStatus {
  /** Undefined where the device is not reached through SSH, or the board has no systemd. */
  readonly unit: UnitState | undefined;
  /** Undefined where the agent did not answer. */
  readonly agent: AgentAnswer | undefined;
  /** Why it did not. */
  readonly error: PynqLlmError | undefined;
}

/** What an agent says. */
export interface AgentAnswer {
  /** What the board and it are. */
  readonly info: BoardInfo;
  /** How they are. */
  readonly health: BoardHealth;
  /** What is in the store. */
  readonly models: readonly StoredModel[];
}

/**
 * Asks an agent and its service how they are. An agent that does not answer is part of the result where its service
 * could be asked.
 * @throws PynqLlmError as `connect`
 */
export async function agentStatus(url: string, options: ConnectOptions = {}): Promise<AgentStatus> {
  requireConnectArguments(url, options);
  if (!url.startsWith('ssh://'))
    return { unit: undefined, agent: await ask(await connect(url, options)), error: undefined };
  await using service = await AgentService.open(url, options);
  const unit = await service.state();
  try {
    return { unit, agent: await ask(await service.connect()), error: undefined };
  } catch (error) {
    if (!isPynqLlmError(error)) throw error;
    return { unit, agent: undefined, error };
  }
}

async function ask(board: BoardClient): Promise<AgentAnswer> {
  await using open = board;
  const [health, models] = await Promise.all([open.health(), open.models.list()]);
  return { info: open.info, health, models };
}
