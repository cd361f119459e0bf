import { lookup } from 'node:dns/promises';
import { request as httpRequest } from 'node:http';
import { request as httpsRequest } from 'node:https';
import { connect as connectTcp, isIP } from 'node:net';
import { type BoardInfo, PROTOCOL_VERSION } from '../../protocol/index.js';
import type { BoardClient } from '../board-client.js';
import { connect } from '../connect.js';
import { newerNode, unsupportedSince } from '../deploy/node-lines.js';
import { openBoard } from '../open-board.js';
import { resolveTarget } from '../ssh/client-config.js';
import { openSsh, parseSshUrl } from '../ssh/index.js';
import { throughStream } from '../transports/ssh.js';
import { type Check, type Finding, fail, failure, pass, skip, warn } from './check.js';
import type { DoctorSession } from './session.js';

const TCP_MS = 10_000;
const AGENT_MS = 30_000;
/** More makes certificates and logs doubtful. */
const MOST_SKEW_MS = 30_000;

interface Endpoint {
  readonly host: string;
  readonly port: number;
}

/** Where a TCP connection has to lead, or why none is made. */
async function endpointOf({ target }: DoctorSession): Promise<Endpoint | string> {
  if (target.kind === 'ws') return target;
  if (target.kind !== 'ssh') return 'the device is not reached through a network';
  const { hostName, port, proxyCommand, proxyJump } = await resolveTarget(parseSshUrl(target.url).target);
  if (proxyCommand !== undefined) return `the SSH configuration leads through the command ${proxyCommand}`;
  if (proxyJump.length > 0) return `the SSH configuration leads through ${proxyJump.join(', ')}`;
  return { host: hostName, port };
}

/** The way to the agent. */
export const CONNECTION_CHECKS: readonly Check<DoctorSession>[] = [
  {
    name: 'host name',
    group: 'connection',
    run: async (session) => {
      const endpoint = await endpointOf(session);
      if (typeof endpoint === 'string') return skip(endpoint);
      const { host } = endpoint;
      if (isIP(host) !== 0) return pass(`${host} is an address`);
      try {
        const addresses = await lookup(host, { all: true });
        return pass(`${host} is ${addresses.map(({ address }) => address).join(', ')}`);
      } catch (error) {
        return fail(
          `${host} has no address: ${String(error)}`,
          'Give the address instead (`pynq-llm provision` reads it from the serial console), or add it to /etc/hosts.',
        );
      }
    },
  },
  {
    name: 'TCP',
    group: 'connection',
    run: async (session) => {
      const endpoint = await endpointOf(session);
      if (typeof endpoint === 'string') return skip(endpoint);
      const { host, port } = endpoint;
      const started = performance.now();
      try {
        await reach(endpoint, session.options.signal);
      } catch (error) {
        return fail(
          `${host} port ${port}: ${error instanceof Error ? error.message : String(error)}`,
          session.target.kind === 'ssh'
            ? 'Check cable and power, that laptop and board are in one network, and that sshd runs on the board.'
            : 'Check that the agent runs and listens at this address, and that no firewall is between.',
        );
      }
      return pass(`${host} port ${port} answers in ${(performance.now() - started).toFixed(0)} ms`);
    },
  },
  {
    name: 'SSH host key and login',
    group: 'connection',
    run: async (session) => {
      const { target, options } = session;
      if (target.kind !== 'ssh') return skip('the device is not reached through SSH');
      try {
        const { ssh, signal } = options;
        const login = await openSsh(parseSshUrl(target.url).target, { ...ssh, signal });
        session.ssh = login;
        return pass(`${login.place} has the key ${login.hostKey} and takes the login`);
      } catch (error) {
        return failure(error);
      }
    },
  },
  {
    name: 'clock',
    group: 'connection',
    run: async (session) => {
      const before = Date.now();
      const board = await boardClock(session);
      if (board === undefined) return skip('the board was not asked: no connection, or it is this computer');
      const after = Date.now();
      return judgeClock(board, before, after);
    },
  },
  {
    name: 'agent',
    group: 'connection',
    run: async (session) => {
      if (session.target.kind === 'ssh' && session.ssh === undefined) return skip('the SSH login failed');
      const started = performance.now();
      try {
        session.board = await openAgent(session);
      } catch (error) {
        return failure(error);
      }
      const { info, role } = session.board;
      return pass(
        `${info.device} (${info.description.title}) in ${(performance.now() - started).toFixed(0)} ms, role ${role}`,
      );
    },
  },
  {
    name: 'versions',
    group: 'connection',
    run: ({ info, options }) => {
      if (info === undefined) return skip('the agent did not answer');
      const { major, minor } = info.protocol;
      const detail = `agent ${info.agent} on Node.js ${info.node}, protocol ${major}.${minor}; here ${options.version}, protocol ${PROTOCOL_VERSION.major}.${PROTOCOL_VERSION.minor}`;
      // The handshake refuses another major version.
      if (info.agent === options.version && minor === PROTOCOL_VERSION.minor) return pass(detail);
      return warn(detail, 'Put this version on the board: `pynq-llm deploy HOST`.');
    },
  },
  {
    name: 'Node.js of the agent',
    group: 'connection',
    run: ({ info, target }) => {
      if (target.kind === 'mock') return undefined;
      if (info === undefined) return skip('the agent did not answer');
      return judgeNode(info, Date.now());
    },
  },
];

/** Over the login that there is already, where there is one. */
function openAgent({ target, options, ssh }: DoctorSession): Promise<BoardClient> {
  const { token, ca, fingerprint, storeDir, signal } = options;
  const how = { token, ca, fingerprint, storeDir, signal, timeoutMs: AGENT_MS, client: 'pynq-llm doctor' };
  if (target.kind !== 'ssh' || ssh === undefined) return connect(target.url, how);
  const { agent } = parseSshUrl(target.url);
  return openBoard(
    throughStream(() => ssh.forwardTo(agent), target.url),
    how,
    0,
  );
}

/** Whether what the agent runs on gets fixes. @param now milliseconds since 1970 */
export function judgeNode({ node, platform }: Pick<BoardInfo, 'node' | 'platform'>, now: number): Finding {
  const since = unsupportedSince(node, now);
  if (since === undefined) return pass(node);
  const detail = `${node} gets no fixes since ${since}`;
  if (!platform.startsWith('linux')) return warn(detail, 'Run the agent on a newer Node.js.');
  return warn(
    detail,
    newerNode(platform.endsWith(' arm') ? 'armv7l' : platform.endsWith(' arm64') ? 'aarch64' : 'x86_64'),
  );
}

/** Compares a clock that tells whole seconds, asked between two moments of our own. */
export function judgeClock(boardMs: number, beforeMs: number, afterMs: number): Finding {
  const behind = beforeMs - 1_000 - boardMs;
  const ahead = boardMs - afterMs;
  const skew = Math.max(behind, ahead, 0);
  if (skew === 0) return pass('agrees with the laptop to the second');
  const detail = `${(skew / 1000).toFixed(0)} s ${behind > 0 ? 'behind' : 'ahead of'} the laptop`;
  if (skew <= MOST_SKEW_MS) return pass(detail);
  return warn(
    detail,
    'On the board: `sudo timedatectl set-ntp true`, or without internet `sudo date -u -s @SECONDS` with the output of `date +%s` on the laptop.',
  );
}

async function boardClock(session: DoctorSession): Promise<number | undefined> {
  if (session.target.kind === 'ws') return httpClock(session);
  return (await session.facts())?.clockMs;
}

/** The agent's listener answers plain HTTP requests with an error that bears a date. */
function httpClock({ target, options }: DoctorSession): Promise<number | undefined> {
  return new Promise((resolve) => {
    const url = new URL(target.url.replace(/^ws/, 'http'));
    const request = url.protocol === 'https:' ? httpsRequest : httpRequest;
    const asked = request(
      url,
      { signal: options.signal, timeout: TCP_MS, ...(options.ca !== undefined && { ca: options.ca }) },
      (response) => {
        response.resume();
        const date = Date.parse(response.headers.date ?? '');
        resolve(Number.isNaN(date) ? undefined : date);
      },
    );
    asked.on('timeout', () => asked.destroy());
    // What is wrong with the connection is the other checks' to say.
    asked.on('error', () => resolve(undefined));
    asked.end();
  });
}

function reach({ host, port }: Endpoint, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const socket = connectTcp({ host, port, signal });
    socket.setTimeout(TCP_MS, () => socket.destroy(new Error(`no answer within ${TCP_MS / 1000} s`)));
    socket.once('connect', () => {
      socket.destroy();
      resolve();
    });
    socket.once('error', reject);
  });
}
