import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { connect } from '../../sdk/index.js';
import { TINY_MODEL, temporaryDirectory } from '../system/support/agent.js';
import { modelWithChatTemplate } from '../system/support/chat-model.js';
import { type AgentProcess, cliAgent } from '../system/support/cli.js';
import { type Answered, type LoadClient, mistakeOf, Reading } from './answer.js';
import { type MemorySample, readMetrics, residentMib } from './observe.js';
import { MODELS, OpenAiClient } from './openai-client.js';
import { type LoadReport, reportOf } from './report.js';
import { Dice, makeTasks, planRequest, type SolvedTask, TRANSPORTS, type Transport } from './workload.js';
import { samplingOf, WsClient } from './ws-client.js';

const DRAFT_MODEL = 'models/tiny-stories-Q2_K.gguf';
/** As plain as a template can be: a chat has the text of the same prompt without one. */
const TEMPLATE = '{% for message in messages %}{{ message.content }}{% endfor %}';
/** What is not answered by then never will be. */
const DEADLINE_MS = 120_000;
/** By then the agent has given up those who vanished. */
const FORGET_MS = 45_000;
const TASKS_PER_CLIENT = 0.5;

/** One at a time, in turn. Where the fault comes twice, the step fails when it is tried again. */
const FAULTS = [
  'dma-decode-error',
  'core-stuck:0:2',
  'result-short',
  'bus-error',
  'dma-never-completes',
  'hazard:0:2',
  'no-tlast',
  'stream-desynchronised',
];

export interface LoadOptions {
  readonly seconds: number;
  readonly clients: number;
  readonly faultsPerMinute: number;
  readonly seed: number;
  /** Bound of keys and values of each model, small enough for sequences to make room for others; the agent's own unless given. */
  readonly kvMemoryMib?: number | undefined;
  /** What is going on, now and then. */
  readonly say: (text: string) => void;
}

/** Puts load on an agent in a process of its own, and reports what it was like. */
export async function runLoad(options: LoadOptions): Promise<LoadReport> {
  const { seconds, clients, faultsPerMinute, seed, kvMemoryMib, say } = options;
  using store = temporaryDirectory();
  const tasks = await solve(makeTasks(seed, Math.ceil(clients * TASKS_PER_CLIENT)), store.path);
  say(`${tasks.length} tasks solved alone`);
  const everySeconds = (60 / faultsPerMinute).toFixed(3);
  const faults = FAULTS.map((fault) => `fault=${fault}`).join('&');
  const device = faultsPerMinute > 0 ? `mock:?${faults}&fault-every=${everySeconds}` : 'mock:';
  const memoryFlags =
    kvMemoryMib === undefined
      ? []
      : ['--kv-memory', String(kvMemoryMib), '--kv-spill', join(store.path, 'spill')];
  await using agent = await cliAgent(store.path, device, memoryFlags);
  const openedAt = performance.now();
  await prepare(agent.url);

  const mistakes: string[] = [];
  const answered: Answered[] = [];
  const memory: MemorySample[] = [];
  const url = agent.url.replace(/^ws/, 'http');
  const { pid = 0 } = agent.child;
  const startedAt = performance.now();
  const until = startedAt + seconds * 1_000;
  const everyMs = Math.min(10_000, seconds * 100);
  const sampler = setInterval(() => {
    const mib = residentMib(pid);
    const at = (performance.now() - startedAt) / 1_000;
    if (mib !== undefined && performance.now() <= until) memory.push({ seconds: at, mib });
    say(
      `${at.toFixed(0)} s: ${answered.length} answers, ${mistakes.length} mistakes, ${mib?.toFixed(0)} MiB`,
    );
  }, everyMs);
  try {
    await Promise.all(
      Array.from({ length: clients }, (_, number) =>
        runClient({ number, agentUrl: agent.url, seed, tasks, until, answered, mistakes }),
      ),
    );
  } finally {
    clearInterval(sampler);
  }
  const took = (performance.now() - startedAt) / 1_000;
  mistakes.push(...(await leftBehind(agent.url)));
  const metrics = await readMetrics(url);
  mistakes.push(...(await end(agent)));
  const period = 60_000 / faultsPerMinute;
  // The last one may have come when there was nothing left to do.
  const faultsDue = faultsPerMinute > 0 ? Math.floor((until - openedAt) / period) : 0;
  return reportOf({ seconds: took, clients, seed, answered, metrics, faultsDue, memory, mistakes });
}

/** What each task's text is when nothing else is computed, on a mock inside this process. */
export async function solve(tasks: ReturnType<typeof makeTasks>, storeDir: string): Promise<SolvedTask[]> {
  await using board = await connect('mock:', { storeDir });
  const model = await board.models.upload(TINY_MODEL);
  const solved: SolvedTask[] = [];
  for (const task of tasks)
    solved.push({ ...task, text: await model.generate(task.prompt, samplingOf(task)).text() });
  return solved;
}

export async function prepare(agentUrl: string): Promise<void> {
  await using board = await connect(agentUrl);
  await board.models.store(TINY_MODEL, { name: MODELS.plain });
  await board.models.store(modelWithChatTemplate(TEMPLATE), { name: MODELS.chat });
  await board.models.store(DRAFT_MODEL, { name: MODELS.draft });
  for (const name of Object.values(MODELS)) await board.models.load(name);
}

interface ClientRun {
  readonly number: number;
  readonly agentUrl: string;
  readonly seed: number;
  readonly tasks: readonly SolvedTask[];
  readonly until: number;
  readonly answered: Answered[];
  readonly mistakes: string[];
}

/** A client's requests, one after the other, until the time is over. */
async function runClient(run: ClientRun): Promise<void> {
  const { number, tasks, until, answered, mistakes } = run;
  const dice = new Dice(run.seed * 1_000 + number + 1);
  const transport = TRANSPORTS[number % TRANSPORTS.length];
  const service = Math.floor(number / TRANSPORTS.length) % 3 === 2 ? 'batch' : 'interactive';
  await using client = await openClient(run, transport);
  for (let asked = 0; performance.now() < until; asked++) {
    const request = planRequest(dice, tasks, transport, service);
    const reading = new Reading();
    const title = `request ${asked} of client ${number} (${transport}, ${service}, ${request.behaviour}, ${request.speculation})`;
    let pauseMs = request.thinkMs;
    try {
      const outcome = await inTime(client.perform(request, reading));
      reading.end();
      const answer = { transport, request, reading, outcome };
      answered.push(answer);
      const mistake = mistakeOf(answer);
      if (mistake !== undefined) mistakes.push(`${title}: ${mistake}`);
      if (outcome.kind === 'refused') pauseMs = outcome.retryAfterMs;
    } catch (error) {
      mistakes.push(`${title}: ${error instanceof Error ? error.message : String(error)}`);
    }
    await delay(Math.max(0, Math.min(pauseMs, until - performance.now())));
  }
}

export async function openClient(
  { agentUrl, number }: Pick<ClientRun, 'agentUrl' | 'number'>,
  transport: Transport,
): Promise<LoadClient> {
  const name = `load ${number}`;
  if (transport === 'ws') return WsClient.open(agentUrl, name);
  return new OpenAiClient(agentUrl.replace(/^ws/, 'http'), transport, name);
}

export async function inTime<T>(work: Promise<T>, ms = DEADLINE_MS): Promise<T> {
  const stop = new AbortController();
  const late = delay(ms, undefined, { signal: stop.signal }).then(
    () => Promise.reject(new Error(`nothing has ended it within ${ms} ms`)),
    () => new Promise<never>(() => {}),
  );
  try {
    return await Promise.race([work, late]);
  } finally {
    stop.abort();
  }
}

/** When everybody has gone, nothing runs on. */
export async function leftBehind(agentUrl: string): Promise<string[]> {
  await using board = await connect(agentUrl);
  const until = performance.now() + FORGET_MS;
  for (;;) {
    const { generations } = await board.health();
    if (generations === 0) return [];
    if (performance.now() > until) return [`${generations} generations still run when everybody has gone`];
    await delay(250);
  }
}

async function end(agent: AgentProcess): Promise<string[]> {
  const { child } = agent;
  if (child.exitCode !== null) return [`the agent ended by itself with status ${child.exitCode}`];
  await agent[Symbol.asyncDispose]();
  return child.exitCode === 0 ? [] : [`the agent ended with status ${child.exitCode ?? child.signalCode}`];
}
