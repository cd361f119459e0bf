import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { FAULTS, type FaultName } from '../agent/in-process.js';
import { PynqLlmError } from '../errors/index.js';
import type { BoardClient } from './board-client.js';
import { openBoard } from './open-board.js';
import { inProcess } from './transports/in-process.js';

export type { BoardClient } from './board-client.js';
export type { FaultName };

/** Everything that can go wrong on the mock, by name: what it is counted by, and what it does. See docs/mock-device.md. */
export const faults: Readonly<Record<FaultName, { readonly at: string; readonly effect: string }>> = FAULTS;

/** A fault that shows at some of its opportunities. */
export interface MockFault {
  readonly name: FaultName;
  /** Opportunities that pass first, counted by `faults[name].at` from the board's opening; 0 unless given. */
  readonly after?: number | undefined;
  /** How many times it shows; 1 unless given. */
  readonly count?: number | undefined;
}

export interface MockOptions {
  /** `pynq-z1`, `pynq-z2`, `kv260`, `v1`, or the path of a board description in TOML; `pynq-z1` unless given. */
  readonly board?: string | undefined;
  /** Takes as long as the board would, by its clock, instead of as long as this machine needs. */
  readonly realTime?: boolean | undefined;
  /** Switched on from the start. */
  readonly faults?: readonly MockFault[] | undefined;
  /** Directory of the model store; a temporary one, gone with the board, unless given. */
  readonly storeDir?: string | undefined;
  /** Milliseconds for opening, and for each request that has no deadline of its own; 30 s. */
  readonly timeoutMs?: number | undefined;
  /** Gives up the opening. */
  readonly signal?: AbortSignal | undefined;
}

/**
 * Opens a mock board of its own inside this process: each call another one, with nothing left of those before.
 * @throws PynqLlmError AGENT_DEVICE_URL for a board or fault that does not exist, AGENT_DEVICE_FAILED, SDK_CONNECT_FAILED
 */
export async function openMock(options: MockOptions = {}): Promise<BoardClient> {
  const { storeDir, timeoutMs, signal } = options;
  const device = deviceUrl(options);
  const folder = storeDir ?? mkdtempSync(join(tmpdir(), 'pynq-llm-mock-'));
  const remove = () => {
    process.off('exit', remove);
    if (storeDir === undefined) rmSync(folder, { recursive: true, force: true });
  };
  process.once('exit', remove);
  const open = inProcess(device, folder, 1);
  try {
    return await openBoard(
      async (events, either) => {
        const transport = await open(events, either);
        const close = () => transport.close().finally(remove);
        return { ...transport, close };
      },
      { timeoutMs, signal, client: 'pynq-llm mock' },
      0,
    );
  } catch (error) {
    remove();
    throw error;
  }
}

function deviceUrl({ board = '', realTime = false, faults: switches = [] }: MockOptions): string {
  if (board.includes('?'))
    throw new PynqLlmError('AGENT_DEVICE_URL', `"${board}" is no board: its name has a question mark.`, {
      context: { board },
    });
  const query = new URLSearchParams(realTime ? { realtime: '1' } : {});
  for (const { name, after = 0, count = 1 } of switches) query.append('fault', `${name}:${after}:${count}`);
  return query.size === 0 ? `mock:${board}` : `mock:${board}?${query}`;
}
