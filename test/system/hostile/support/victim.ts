import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { request } from 'node:http';
import { join } from 'node:path';
import { type BoardClient, connect } from '../../../../sdk/index.js';
import { residentMib } from '../../../load/observe.js';
import { temporaryDirectory } from '../../support/agent.js';
import { type AgentProcess, cliServer } from '../../support/cli.js';
import type { Place } from './dial.js';

const TLS = { keyFile: 'test/fixtures/tls/key.pem', certFile: 'test/fixtures/tls/cert.pem' };
/** Within this time a client is let in and answered, whatever others do. */
const LET_IN_MS = 10_000;

export const TOKENS = {
  read: 'the-token-of-who-may-look',
  infer: 'the-token-of-who-may-generate',
  admin: 'the-token-of-the-administrator',
};

/** What is attacked: the program, what its clients come over, and whether it wants tokens. */
export interface VictimKind {
  readonly program: 'agent' | 'serve';
  readonly over: 'tcp' | 'tls' | 'unix';
  readonly tokens: boolean;
}

/** Every way in that strangers have. */
export const KINDS: readonly VictimKind[] = [
  ...(['tcp', 'tls', 'unix'] as const).flatMap((over) =>
    [true, false].map((tokens) => ({ program: 'agent' as const, over, tokens })),
  ),
  { program: 'serve', over: 'tcp', tokens: true },
  { program: 'serve', over: 'tcp', tokens: false },
];

export function titleOf({ program, over, tokens }: VictimKind): string {
  const name = { tcp: 'TCP', tls: 'TLS', unix: 'a Unix socket' }[over];
  return `${program === 'serve' ? 'pynq-llm serve' : 'an agent'} on ${name} ${tokens ? 'with' : 'without'} tokens`;
}

/** A server in a process of its own that strangers attack. */
export interface Victim extends AsyncDisposable {
  readonly kind: VictimKind;
  readonly process: AgentProcess;
  readonly place: Place;
  readonly pid: number;
  residentMib(): number;
  /** A client of an agent that is let in, with every right. */
  enter(): Promise<BoardClient>;
  /** Fails unless the same process runs, said nothing that no stranger may cause, and lets a client in. */
  isWell(): Promise<void>;
  /** The first half of that. @throws AssertionError */
  isUnhurt(): void;
}

export interface VictimOptions {
  readonly within?: readonly string[];
  readonly device?: string;
  readonly more?: readonly string[];
}

export async function startVictim(kind: VictimKind, options: VictimOptions = {}): Promise<Victim> {
  const home = temporaryDirectory();
  const { within = [], device = 'mock:', more = [] } = options;
  const flags = kind.program === 'agent' ? agentFlags(kind, home.path) : serveFlags(kind, home.path);
  const args = [kind.program, '--device', device, ...flags, ...more];
  const server = await cliServer(args, { home: home.path, within });
  const { pid } = server.child;
  if (pid === undefined) throw new Error('a server that said where it listens has a process');
  const enter = () =>
    connect(server.url, {
      reconnectMs: 0,
      ...(kind.tokens && { token: TOKENS.admin }),
      ...(kind.over === 'tls' && { ca: readFileSync(TLS.certFile, 'utf8') }),
    });
  return {
    kind,
    process: server,
    place: placeOf(kind, server.url),
    pid,
    residentMib: () => residentMib(pid) ?? 0,
    enter,
    isUnhurt: () => requireUnhurt(server),
    async isWell() {
      requireUnhurt(server);
      const looks = kind.program === 'agent' ? lookIn(enter) : ask(server.url, kind.tokens);
      await inTime(looks, 'no client was let in');
      requireUnhurt(server);
    },
    async [Symbol.asyncDispose]() {
      await server[Symbol.asyncDispose]();
      home[Symbol.dispose]();
    },
  };
}

function agentFlags({ over, tokens }: VictimKind, home: string): string[] {
  const listen = {
    tcp: ['--listen', 'ws://127.0.0.1:0'],
    tls: ['--listen', 'wss://127.0.0.1:0', '--tls-key', TLS.keyFile, '--tls-cert', TLS.certFile],
    unix: ['--listen', `unix:${join(home, 'agent.sock')}`],
  }[over];
  if (!tokens) return listen;
  const file = join(home, 'tokens');
  const lines = Object.entries(TOKENS).map(([role, token]) => `${role} ${token}\n`);
  writeFileSync(file, lines.join(''), { mode: 0o600 });
  return [...listen, '--token-file', file];
}

function serveFlags({ tokens }: VictimKind, home: string): string[] {
  if (!tokens) return ['--port', '0'];
  const file = join(home, 'key');
  writeFileSync(file, TOKENS.infer, { mode: 0o600 });
  return ['--port', '0', '--api-key-file', file];
}

function placeOf({ over }: VictimKind, url: string): Place {
  if (over === 'unix') return { path: url.slice('unix:'.length) };
  return { port: Number(new URL(url).port), tls: over === 'tls' };
}

/** It runs, and its log holds no line that a stranger should be unable to cause. @throws AssertionError */
function requireUnhurt(server: AgentProcess): void {
  const { child } = server;
  const log = server.log();
  const status = child.exitCode ?? child.signalCode;
  assert.equal(status, null, `the process ended with ${status}:\n${log.slice(-4_000)}`);
  assert.deepEqual(complaintsIn(log), []);
}

/** An agent logs JSON with pino's levels, 50 for errors; what is no JSON is Node's own words, or those of `serve`. */
export function complaintsIn(log: string): string[] {
  const isComplaint = (line: string): boolean => {
    if (!line.startsWith('{')) return /uncaught|unhandled|unexpected|this is a bug|Error|Warning/i.test(line);
    try {
      const { level }: { level?: number } = JSON.parse(line);
      return (level ?? 0) >= 50;
    } catch {
      // A line that is not whole yet.
      return false;
    }
  };
  return log.split('\n').filter(isComplaint);
}

async function lookIn(enter: () => Promise<BoardClient>): Promise<void> {
  await using board = await enter();
  assert.notEqual((await board.health()).state, 'failed');
}

async function ask(url: string, tokens: boolean): Promise<void> {
  const headers = tokens ? { authorization: `Bearer ${TOKENS.infer}` } : {};
  const status = await new Promise<number | undefined>((resolve, reject) => {
    const sent = request(`${url}/models`, { headers, agent: false, timeout: LET_IN_MS }, (answer) => {
      answer.resume();
      answer.once('close', () => resolve(answer.statusCode));
    });
    sent.once('error', reject).end();
  });
  assert.equal(status, 200);
}

/** @throws Error that says `otherwise` when the time is over */
export async function inTime<T>(work: Promise<T>, otherwise: string, ms = LET_IN_MS): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${otherwise} within ${ms} ms`)), ms);
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}
