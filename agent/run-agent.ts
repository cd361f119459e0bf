import { once } from 'node:events';
import { readFileSync, statSync } from 'node:fs';
import { setFlagsFromString } from 'node:v8';
import { pino } from 'pino';
import type { Token } from '../access/index.js';
import { PynqLlmError } from '../errors/index.js';
import type { Log } from '../listen/index.js';
import { type CoreTypes, ROLES } from '../protocol/index.js';
import type { AgentHandle, ListenOptions } from './serve-host.js';
import { feedWatchdog } from './session/feed-watchdog.js';
import { standardError } from './session/log-output.js';
import { LogSink } from './session/log-sink.js';
import { type ServedAgent, serveAgent } from './start-agent.js';
import type { KvSettings } from './worker-link/kv-settings.js';

/** How long generations under way may take to end: less than systemd waits before it kills (TimeoutStopSec). */
const DRAIN_MS = 10_000;
/** How long the last lines of the log may take to be written: whoever should read them may have gone, or sleep. */
const FLUSH_MS = 500;

/** The flags of everything that listens: the agent, a fleet's gateway. */
export interface DaemonFlags {
  readonly listen: string;
  /** Lines of "role token" or "role token name"; empty lines and lines that begin with # are skipped. */
  readonly tokenFile?: string | undefined;
  readonly allowOrigin: readonly string[];
  readonly tlsKey?: string | undefined;
  readonly tlsCert?: string | undefined;
  readonly logLevel: string;
}

/** The flags of `pynq-llm agent`. */
export interface AgentFlags extends DaemonFlags {
  readonly device: string;
  readonly storeDir?: string | undefined;
  readonly kv?: KvSettings | undefined;
  readonly clientWeight?: ReadonlyMap<string, number> | undefined;
  readonly checkCycles?: boolean | undefined;
  readonly threads?: number | undefined;
  readonly coreTypes?: CoreTypes | undefined;
}

/** Adds what else a daemon's port serves; disposed of when it begins to end. */
export type Extend<H extends AgentHandle = AgentHandle> = (agent: H) => Disposable;
const NOTHING: Extend = () => ({ [Symbol.dispose]: () => undefined });

type Start<H extends AgentHandle> = (listening: ListenOptions & { readonly log: Log }) => Promise<H>;

/** Runs an agent until SIGINT or SIGTERM. @throws PynqLlmError as startAgent */
export async function runAgent(flags: AgentFlags, extend?: Extend<ServedAgent>): Promise<void> {
  const { device, storeDir, kv, clientWeight: clientWeights, checkCycles, threads, coreTypes } = flags;
  // V8 collects when a heap is up to four times what is alive in it: on a board that memory is the model's.
  setFlagsFromString('--optimize-for-size');
  await runDaemon(
    flags,
    (listening) =>
      serveAgent({ ...listening, device, storeDir, kv, clientWeights, checkCycles, threads, coreTypes }),
    extend,
  );
}

/**
 * Runs what listens until SIGINT or SIGTERM; generations under way then have ten seconds to end, and the process ends. Its
 * address goes to standard output as the only line there, its log to standard error. Whether anybody reads them, or ever
 * will, makes no difference to it.
 * @throws PynqLlmError as `start`, AGENT_TLS, AGENT_TOKEN_INVALID
 */
export async function runDaemon<H extends AgentHandle>(
  flags: DaemonFlags,
  start: Start<H>,
  extend: Extend<H> = NOTHING,
): Promise<void> {
  const sink = new LogSink(standardError());
  const log = pino({ level: flags.logLevel, base: null }, sink);
  outliveReaders(log);
  await serve(flags, log, start, extend);
  await sink.flush(FLUSH_MS);
  // What nobody reads would keep the process.
  process.exit();
}

/** A daemon goes on when nobody reads its address or its log any more, or there is no room for them. */
function outliveReaders(log: Log): void {
  process.stdout.removeAllListeners('error');
  process.stdout.on('error', (err) => log.warn({ err }, 'standard output does not take the address'));
  process.stderr.removeAllListeners('error');
  process.stderr.on('error', () => {});
  // Node would print them until they are taken.
  process.removeAllListeners('warning');
  process.on('warning', (err) => log.warn({ err }, 'warning of Node.js'));
}

async function serve<H extends AgentHandle>(
  flags: DaemonFlags,
  log: Log,
  start: Start<H>,
  extend: Extend<H>,
): Promise<void> {
  const { tlsKey, tlsCert } = flags;
  if ((tlsKey === undefined) !== (tlsCert === undefined))
    throw new PynqLlmError('AGENT_TLS', 'Of key and certificate only one was given.');
  await using agent = await start({
    listen: flags.listen,
    log,
    origins: flags.allowOrigin,
    token: flags.tokenFile === undefined ? undefined : readTokenFile(flags.tokenFile, log),
    tls: tlsKey === undefined || tlsCert === undefined ? undefined : { keyFile: tlsKey, certFile: tlsCert },
  });
  using _watchdog = feedWatchdog(log);
  {
    using _extension = extend(agent);
    process.removeAllListeners('SIGINT');
    const asked = Promise.race([once(process, 'SIGINT'), once(process, 'SIGTERM')]);
    // Whoever reads it may ask for the end at once.
    process.stdout.write(`${agent.url}\n`);
    await asked;
  }
  log.info({}, 'agent ends');
  await agent.drain(DRAIN_MS);
}

/** @throws PynqLlmError AGENT_TOKEN_INVALID */
function readTokenFile(path: string, log: Log): Token[] {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
    // Windows keeps others out by other means than these bits.
    if (process.platform !== 'win32' && (statSync(path).mode & 0o077) !== 0)
      log.warn({ path }, 'other users may read or write the token file: chmod 600 it');
  } catch (cause) {
    throw new PynqLlmError('AGENT_TOKEN_INVALID', `The token file ${path} cannot be read.`, { cause });
  }
  const tokens: Token[] = [];
  for (const [index, line] of text.split('\n').entries()) {
    if (line.trim() === '' || line.startsWith('#')) continue;
    const [word, token, name, ...rest] = line.trim().split(/\s+/);
    const role = ROLES.find((one) => one === word);
    const isRepeated = tokens.some((one) => (one.name ?? one.role) === (name ?? role));
    if (role === undefined || token === undefined || rest.length > 0 || isRepeated)
      throw new PynqLlmError(
        'AGENT_TOKEN_INVALID',
        `Line ${index + 1} of ${path} is not "role token" or "role token name", or repeats a name or a role without one.`,
      );
    tokens.push({ role, token, name });
  }
  return tokens;
}
