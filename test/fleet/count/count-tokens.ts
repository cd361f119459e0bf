import { randomBytes } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { openEmbedded } from '../../../agent/in-process.js';
import type { CountingEmulator } from '../../../bench/board/emulator.js';
import { deferred } from '../../../bus/deferred.js';
import type { Bus } from '../../../bus/index.js';
import { connectNats } from '../../../bus/nats/connect.js';
import { declareStores } from '../../../fleet/gateway/declare-stores.js';
import { AgentLink } from '../../../fleet/member/agent-link.js';
import { type Order, pack } from '../../../fleet/messages.js';
import { callsOf, controlOf, ENDS, LOG, TOKENS, WORK_QUEUE } from '../../../fleet/subjects.js';
import { openMock } from '../../../sdk/mock.js';
import { TINY_MODEL, temporaryDirectory } from '../../system/support/agent.js';
import { cliServer } from '../../system/support/cli.js';
import { TestNatsServer } from '../../system/support/nats-server.js';
import { CountedProcess, countSettled } from './counted-process.js';
import type { Said } from './timed-agent.js';

const CHILD = fileURLToPath(new URL('./token-main.js', import.meta.url));
const NAME = 'counted';
const TERM = 1;
const WINDOW = 64;
const DEADLINE_MS = 120_000;
/** Of a token; longer than the emulator takes for what belongs to it, so that each goes its way alone. */
const TOKEN_MS = 60;
const TOKENS_COUNTED = 100;
const IDLE_MS = 20_000;

type Way = (tokens: number, ms: number) => Promise<void>;

/** Instructions of the main thread, by what they are for. */
export async function countTokens(
  emulator: CountingEmulator,
  note: (text: string) => void,
): Promise<[what: string, instructions: number][]> {
  await using broker = await TestNatsServer.start();
  using home = temporaryDirectory();
  const said = join(home.path, 'said.json');
  const facts = await whatAgentsSay(home.path);
  writeFileSync(said, JSON.stringify(facts));
  const model = facts['models.find'].models[0]!.digest;
  const bus = await connectNats({ url: broker.url });
  await declareStores(bus);
  await bus.queue(WORK_QUEUE).openLane(NAME);
  const counted = new CountedProcess(emulator, home.path);
  const within = ['setpriv', '--pdeathsig', 'KILL'];
  await using agent = await cliServer([broker.url, NAME, said], {
    home: home.path,
    node: counted.node,
    main: CHILD,
    within,
  });
  const pid = agent.child.pid!;
  const measure = async (what: string, work: () => Promise<void>) => {
    await counted.cut(pid);
    await work();
    const { instructions, seconds } = await counted.cut(pid);
    note(`${what}: ${(instructions / 1e6).toFixed(2)} M in ${seconds.toFixed(1)} s`);
    return { instructions, seconds };
  };
  /** Of a second with nothing to do, and of a token, what a second takes while a request runs taken off. */
  const count = async (way: Way) => {
    const idle = async () => {
      const { instructions, seconds } = await measure('idle', () => delay(IDLE_MS));
      return instructions / seconds;
    };
    const tokens = () => measure('tokens', () => way(TOKENS_COUNTED, TOKEN_MS));
    await countSettled(async () => (await tokens()).instructions, 1.05);
    const slow = await measure('a request without tokens', () => way(1, IDLE_MS));
    const fast = await tokens();
    const second = slow.instructions / slow.seconds;
    return {
      idle: await idle(),
      busy: second,
      token: (fast.instructions - second * fast.seconds) / TOKENS_COUNTED,
    };
  };
  try {
    await lead(bus, model);
    const member = await count((tokens, ms) => generateInFleet(bus, model, tokens, ms));
    return [
      ['a token of a member of a fleet', member.token],
      ['a second with nothing to do', member.idle],
      ['a second while a request runs', member.busy],
    ];
  } finally {
    await bus.close();
  }
}

/** From a mock: of its board, and of a model that it has. */
async function whatAgentsSay(storeDir: string): Promise<Said> {
  const board = await openMock({ storeDir });
  const { digest } = await board.models.upload(TINY_MODEL);
  await board.close();
  const agent = await openEmbedded({ device: 'mock:', storeDir, threads: 1 });
  const link = await AgentLink.open(agent);
  const load = link.openStream('models.load', { model: digest }, () => {});
  load.stream.grant(Number.MAX_SAFE_INTEGER);
  const said = {
    'models.load': await load.result.finally(load.release),
    'models.find': await link.request('models.find', { model: digest }),
    'board.info': await link.request('board.info', {}),
  };
  await link.close();
  await agent.close();
  return said;
}

function paramsOf(model: string, tokens: number, ms: number): Order['params'] {
  return {
    generation: randomBytes(16).toString('hex'),
    model,
    prompt: { tokens: [1, 2, 3, 4] },
    sampling: { maxTokens: tokens, seed: ms },
    window: WINDOW,
  };
}

/** As a gateway has a board load a model. */
async function lead(bus: Bus, model: string): Promise<void> {
  const call = async (method: string, params: object) => {
    for (const end = performance.now() + DEADLINE_MS; ; await delay(500))
      try {
        return await bus.request(callsOf(NAME), pack({ term: TERM, method, params }));
      } catch (error) {
        if (performance.now() > end) throw error;
      }
  };
  await call('fleet.lead', {});
  await call('fleet.load', { model });
}

let deliveries = 0;

async function generateInFleet(bus: Bus, model: string, tokens: number, ms: number): Promise<void> {
  const params = paramsOf(model, tokens, ms);
  const { generation } = params;
  const delivery = ++deliveries;
  const order: Order = { term: TERM, delivery, credit: WINDOW, given: 0, params };
  let read = 0;
  const ended = deferred<void>();
  const heard = [
    bus.subscribe(`${LOG}.${TOKENS}.${NAME}.${generation}`, () => {
      const credit = ++read + WINDOW;
      if (read % (WINDOW / 4) === 0)
        bus.publish(controlOf(NAME), pack({ kind: 'grant', term: TERM, generation, credit }));
    }),
    bus.subscribe(`${LOG}.${ENDS}.${NAME}.${generation}`, () => ended.resolve()),
  ];
  await Promise.all(heard.map(({ ready }) => ready));
  await bus.queue(WORK_QUEUE).put(NAME, `${generation}.${TERM}.${delivery}`, pack(order));
  await ended.promise;
  for (const one of heard) one.close();
}
