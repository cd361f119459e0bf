import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { WebSocket } from 'ws';
import { type BoardClient, connect, type Model } from '../sdk/index.js';
import { type BenchOptions, type BenchRow, median, row } from './row.js';
import { withAgent } from './with-agent.js';

const MODEL = fileURLToPath(new URL('../../models/tiny-stories-Q3_K_M.gguf', import.meta.url));

/** The wire on loopback: a register read against a bare WebSocket echo, and what agent, wire and SDK add to a token. */
export async function benchWire({ quick, onNote }: BenchOptions): Promise<BenchRow[]> {
  onNote('wire');
  return withAgent(async (child) => {
    await using board = await connect(child.agentUrl);
    const echo = new WebSocket(child.echoUrl, { perMessageDeflate: false });
    await once(echo, 'open');
    // Of which the second half counts: V8 has compiled both ways by then.
    const rounds = quick ? 200 : 12_000;
    const reads: number[] = [];
    const echoes: number[] = [];
    const message = new Uint8Array(64);
    for (let i = 0; i < rounds; i++) {
      echoes.push(
        await microseconds(async () => {
          echo.send(message);
          await once(echo, 'message');
        }),
      );
      reads.push(await microseconds(() => board.registers.read(['dma0.MM2S_DMASR'])));
    }
    echo.close();
    const model = await board.models.upload(MODEL);
    return [
      row(
        'register read round trip',
        median(reads.slice(rounds >> 1)),
        'µs',
        median(echoes.slice(rounds >> 1)),
      ),
      ...(await tokenRows(board, model, quick ? 64 : 256)),
    ];
  });
}

/**
 * Overhead of a token = time between two tokens in the client, less the duration of the engine's step between them,
 * which the agent reports itself.
 */
async function tokenRows(board: BoardClient, model: Model, tokens: number): Promise<BenchRow[]> {
  const stop = new AbortController();
  const steps: number[] = [];
  const watching = (async () => {
    for await (const step of board.counters.subscribe({ signal: stop.signal }))
      if (step.tokens === 1) steps.push(step.durationMs);
  })().catch((error: unknown) => {
    if (!stop.signal.aborted) throw error;
  });
  const between: number[] = [];
  let last = 0;
  const generation = model.generate('Once upon a time', { maxTokens: tokens, temperature: 0 });
  for await (const _ of generation) {
    const now = performance.now();
    if (last > 0) between.push(now - last);
    last = now;
  }
  const { counters, tokens: generated } = await generation.done;
  stop.abort();
  await watching;
  const perToken = (value: number) => value / generated;
  const step = median(steps.slice(1));
  return [
    row('overhead per token of agent, wire and SDK', median(between) - step, 'ms', step),
    row(
      'register accesses per token',
      perToken(counters.registerReads + counters.registerWrites),
      'accesses',
    ),
    row('DMA transfers per token', perToken(counters.dmaTransfers), 'transfers'),
    row('core cycles per token', perToken(counters.coreCycles), 'cycles'),
  ];
}

async function microseconds(work: () => Promise<unknown>): Promise<number> {
  const started = performance.now();
  await work();
  return (performance.now() - started) * 1000;
}
