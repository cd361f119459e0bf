import { fileURLToPath } from 'node:url';
import type { CountingEmulator } from '../../../bench/board/emulator.js';
import { connectNats } from '../../../bus/nats/connect.js';
import { packHop, readHop, toBytes } from '../../../fleet/pipeline/hop.js';
import { hopOf, hopsTo } from '../../../fleet/subjects.js';
import type { StageBatch } from '../../../llm/index.js';
import { temporaryDirectory } from '../../system/support/agent.js';
import { cliServer } from '../../system/support/cli.js';
import { TestNatsServer } from '../../system/support/nats-server.js';
import { BEFORE, BEHIND, MODEL, STAGE } from './counted-plan.js';
import { CountedProcess, countSettled } from './counted-process.js';

const CHILD = fileURLToPath(new URL('./stage-main.js', import.meta.url));
/** TinyLlama's. */
const WIDTH = 2_048;
const TURNS = 400;
const TURN_MS = 60_000;

/** Armv7 instructions of the main thread for a micro-batch's turn in a stage: hidden states in and out, whatever the layers take. */
export async function countStage(
  emulator: CountingEmulator,
  columns: number,
  note: (text: string) => void,
): Promise<number> {
  await using broker = await TestNatsServer.start();
  using home = temporaryDirectory();
  const counted = new CountedProcess(emulator, home.path);
  const stage = {
    home: home.path,
    node: counted.node,
    main: CHILD,
    within: ['setpriv', '--pdeathsig', 'KILL'],
  };
  await using process_ = await cliServer([broker.url, String(WIDTH)], stage);
  const pid = process_.child.pid!;
  const bus = await connectNats({ url: broker.url });
  try {
    let next = 0;
    let back: (number: number) => void = () => {};
    await bus.subscribe(hopsTo(BEHIND), ({ data }) => {
      const hop = readHop(data);
      if (hop.kind === 'batch') back(hop.number);
    }).ready;
    const turn = () => {
      const number = next++;
      const done = new Promise<void>((resolve, reject) => {
        back = (of) => (of === number ? resolve() : reject(new Error(`batch ${of} came for ${number}`)));
      });
      const hidden = toBytes(new Float32Array(WIDTH * columns).fill(number));
      const batch = batchOf(number, columns);
      bus.publish(
        hopOf(STAGE, BEFORE),
        packHop({ model: MODEL, plan: 1, kind: 'batch', number, batch, hidden }),
      );
      return within(done);
    };
    const turns = async () => {
      await counted.cut(pid);
      for (let i = 0; i < TURNS; i++) await turn();
      const { instructions, seconds } = await counted.cut(pid);
      note(
        `${columns} columns: ${(instructions / TURNS / 1e6).toFixed(3)} M a turn, ${seconds.toFixed(1)} s`,
      );
      return instructions / TURNS;
    };
    return await countSettled(turns, 1.03);
  } finally {
    await bus.close();
  }
}

async function within(turn: Promise<void>): Promise<void> {
  let late: NodeJS.Timeout | undefined;
  const deadline = new Promise<void>((_, reject) => {
    late = setTimeout(() => reject(new Error(`a turn did not end within ${TURN_MS} ms`)), TURN_MS);
  });
  try {
    await Promise.race([turn, deadline]);
  } finally {
    clearTimeout(late);
  }
}

/** A decode step: each sequence has a place for its next token, and the one before is certain. */
function batchOf(number: number, columns: number): StageBatch {
  const caches = Array.from({ length: columns }, (_, cache) => cache);
  return {
    number,
    changes: caches.flatMap((cache) => [
      { kind: 'settle' as const, cache, certain: number },
      { kind: 'reserve' as const, cache, length: number + 1, reached: number + 1 },
    ]),
    columns: caches.map((cache) => ({ cache, token: 1, position: number, wantsLogits: true })),
    freeFrames: 100,
  };
}
