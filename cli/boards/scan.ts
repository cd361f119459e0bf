import { existsSync } from 'node:fs';
import type { NamedBoard } from './file.js';
import { type ProvisionedBoard, provisionedBoards } from './provisioned.js';

/** A place where a board was found. */
export interface Found {
  /** What it may be called. */
  readonly name: string;
  readonly how: string;
  /** As `--device` takes it; undefined where there is only a console. */
  readonly url: string | undefined;
  readonly state: string;
  /** Whether its agent answered. */
  readonly answers: boolean;
  /** The name that it has in boards.toml. */
  readonly known: string | undefined;
}

const LOCAL_SOCKET = '/run/pynq-llm/agent.sock';
/** For a login and the agent's answer. */
const LOOK_MS = 8_000;

/**
 * Looks at what provisioning from this computer has noted down, at this computer's serial ports, and for an agent of this computer. It does
 * not search networks.
 */
export async function scan(named: readonly NamedBoard[], signal: AbortSignal): Promise<Found[]> {
  const { listSerialPorts, isBoardPort } = await import('../../sdk/board-setup.js');
  const ports = await listSerialPorts();
  const [noted] = await Promise.all([
    Promise.all(provisionedBoards().map((board) => lookAt(board, named, signal))),
  ]);
  const consoles = ports.filter(isBoardPort).map(
    ({ path, id }): Found => ({
      name: '-',
      how: `serial port ${path}${id === undefined ? '' : ` (${id})`}`,
      url: undefined,
      state: 'pynq-llm provision, or console',
      answers: false,
      known: undefined,
    }),
  );
  const here: Found[] = existsSync(LOCAL_SOCKET)
    ? [
        found(
          'this-computer',
          'agent of this computer',
          `unix:${LOCAL_SOCKET}`,
          'socket is there',
          true,
          named,
        ),
      ]
    : [];
  return [...noted, ...here, ...consoles];
}

/** Tries the addresses that a board had, one after the other; one that shows another host key is another computer by now. */
async function lookAt(
  { hostName, user, addresses, hostKeys, at }: ProvisionedBoard,
  named: readonly NamedBoard[],
  signal: AbortSignal,
): Promise<Found> {
  const how = `provisioned on ${at.slice(0, 10)}`;
  let state = addresses.length === 0 ? 'had no address' : 'no answer';
  for (const address of addresses) {
    const host = address.includes(':') ? `[${address}]` : address;
    const url = `ssh://${user}@${host}`;
    const [answers, said] = await knock(url, hostKeys, signal);
    if (answers) return found(hostName, how, url, said, true, named);
    state = `${address}: ${said}`;
  }
  const [first] = addresses;
  const url = first === undefined ? undefined : `ssh://${user}@${first.includes(':') ? `[${first}]` : first}`;
  return found(hostName, how, url, state, false, named);
}

/** @returns whether it is the board, and what it says */
async function knock(
  url: string,
  hostKeys: readonly string[],
  signal: AbortSignal,
): Promise<[boolean, string]> {
  const { isPynqLlmError, openSsh, parseSshTarget } = await import('../../sdk/index.js');
  const deadline = AbortSignal.timeout(LOOK_MS);
  const within = AbortSignal.any([signal, deadline]);
  const options = { signal: within, timeoutMs: LOOK_MS };
  // Its keys came over the cable: whoever shows one of them is the board.
  let last: [boolean, string] = [false, 'it has no host key'];
  for (const hostKey of hostKeys) {
    try {
      await using login = await openSsh(parseSshTarget(url), { ...options, hostKey });
      const { stdout } = await login.exec(`test -S ${LOCAL_SOCKET} && echo agent || true`, {
        signal: within,
      });
      return [true, stdout.trim() === 'agent' ? 'agent runs' : 'no agent: pynq-llm deploy'];
    } catch (error) {
      signal.throwIfAborted();
      if (deadline.aborted) return [false, 'no answer'];
      if (isPynqLlmError(error, 'SSH_AUTH_FAILED')) return [true, 'takes no key of ours'];
      last = [false, isPynqLlmError(error) ? error.code : String(error)];
      // Only one of its other keys could be what is shown.
      if (!isPynqLlmError(error, 'SSH_HOST_KEY_CHANGED')) return last;
    }
  }
  return last;
}

function found(
  name: string,
  how: string,
  url: string | undefined,
  state: string,
  answers: boolean,
  named: readonly NamedBoard[],
): Found {
  return { name, how, url, state, answers, known: named.find((board) => board.url === url)?.name };
}
