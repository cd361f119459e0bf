import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { trace } from '@opentelemetry/api';
import type { ReadableSpan } from '@opentelemetry/sdk-trace-base';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { httpOnPort } from '../../cli/http-on-port.js';
import { startMockFleet } from '../../fleet/index.js';
import { type BoardClient, connect, type Model } from '../../sdk/index.js';
import { TINY_MODEL, temporaryDirectory, testAgent } from './support/agent.js';
import { testFleet } from './support/fleet.js';
import { keptLog } from './support/kept-log.js';
import { registerTelemetry, type Telemetry } from './support/open-telemetry.js';

const PROMPT = 'Once upon a time';
const SPAN = 'b7ad6b7169203331';
let ids = 0;
const newTrace = () => (++ids).toString(16).padStart(32, 'a');
const traceparent = (id: string) => `00-${id}-${SPAN}-01`;

const parentOf = (span: ReadableSpan) => span.parentSpanContext?.spanId;
const named = (spans: readonly ReadableSpan[], name: string) => {
  const found = spans.filter((span) => span.name === name);
  expect(found, `spans called ${name}`).toHaveLength(1);
  return found[0];
};
const msOf = ([s, ns]: readonly [number, number]) => s * 1_000 + ns / 1e6;

/** A server of this process, with the OpenAI API on its port, as the command line starts it. */
async function withHttp(
  start: (log: ReturnType<typeof keptLog>['log']) => ReturnType<typeof startMockFleet>,
) {
  const { log, lines } = keptLog();
  const handle = await start(log);
  const extension = (await httpOnPort([], undefined))(handle);
  const url = handle.url.replace(/^ws/, 'http');
  await vi.waitFor(async () => expect((await fetch(`${url}/health`)).status).toBe(200), 30_000);
  const board = await connect(handle.url);
  const { digest } = await board.models.store(TINY_MODEL);
  const model = await board.models.load(digest);
  const complete = (headers: Record<string, string>, more: object = {}) =>
    fetch(`${url}/v1/completions`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', ...headers },
      body: JSON.stringify({ model: digest, prompt: PROMPT, max_tokens: 4, temperature: 0, ...more }),
    });
  return {
    board,
    model,
    lines,
    complete,
    [Symbol.asyncDispose]: async () => {
      await board.close();
      extension[Symbol.dispose]();
      await handle.close();
    },
  };
}
type Served = Awaited<ReturnType<typeof withHttp>>;

const store = temporaryDirectory();
let fleet: Served;
let agent: Served;
beforeAll(async () => {
  fleet = await withHttp((log) =>
    startMockFleet({ listen: '127.0.0.1:0', log, mocks: 2, device: 'mock:', storeDir: store.path }),
  );
  agent = await withHttp((log) => testAgent({ log }));
});
afterAll(async () => {
  await fleet?.[Symbol.asyncDispose]();
  await agent?.[Symbol.asyncDispose]();
  store[Symbol.dispose]();
});

const linesOf = ({ lines }: Served, id: string) => lines.filter((line) => line.trace === id);

describe.each([
  ['a fleet', () => fleet],
  ['one agent', () => agent],
])('without OpenTelemetry, %s', (_, served) => {
  it('takes the trace of an HTTP request, and its log lines have it, with the times', async () => {
    const id = newTrace();
    const answer = await served().complete({ traceparent: traceparent(id), tracestate: 'congo=t61rcWkgMzE' });
    expect(answer.status).toBe(200);
    expect(answer.headers.get('traceresponse')).toBe(traceparent(id));
    await answer.text();
    await vi.waitFor(() => {
      const lines = linesOf(served(), id);
      expect(lines.map(({ message }) => message)).toEqual(
        expect.arrayContaining(['answered', 'generation ended']),
      );
      const ended = lines.find(({ message }) => message === 'generation ended');
      expect(ended).toMatchObject({ reason: 'max-tokens', tokens: 4, prefillMs: expect.any(Number) });
    });
  });

  it.each([
    ['there is none', {}],
    ['it is not valid', { traceparent: `ff-${'a'.repeat(32)}-${SPAN}-01` }],
  ])('begins a new trace where %s', async (_why, headers) => {
    const answer = await served().complete(headers as Record<string, string>);
    const [, id, span, flags] = answer.headers.get('traceresponse')?.split('-') ?? [];
    await answer.text();
    expect(id).toMatch(/^[0-9a-f]{32}$/);
    expect(id).not.toBe('a'.repeat(32));
    expect(span).toMatch(/^[0-9a-f]{16}$/);
    expect(flags).toBe('00');
    await vi.waitFor(() =>
      expect(linesOf(served(), id!).map(({ message }) => message)).toContain('generation ended'),
    );
  });

  it("tells of the board's engine which trace a sequence is part of", async () => {
    const id = newTrace();
    const generation = served().model.generate(PROMPT, {
      maxTokens: 400,
      ignoreEos: true,
      window: 1,
      traceparent: traceparent(id),
    });
    const tokens = generation[Symbol.asyncIterator]();
    await tokens.next();
    const { models } = await served().board.metrics();
    expect(models.flatMap(({ sequences }) => sequences.map((one) => one.trace))).toEqual([id]);
    await tokens.return?.();
  });
});

it('the board of a fleet that had a request says so, by its trace', async () => {
  const deliveries: unknown[] = [];
  for (const id of [newTrace(), newTrace()]) {
    await (await fleet.complete({ traceparent: traceparent(id) })).text();
    await vi.waitFor(() => {
      const lines = linesOf(fleet, id).filter(({ message }) => message === 'a request ended on this board');
      expect(lines).toMatchObject([{ board: expect.stringMatching(/^mock-[12]$/), tokens: 4 }]);
      deliveries.push(lines[0]!.delivery);
    });
  }
  // Each was delivered once: they are numbered throughout.
  expect(deliveries[1]).toBe(Number(deliveries[0]) + 1);
});

describe('with OpenTelemetry registered', () => {
  let telemetry: Telemetry;
  beforeAll(() => {
    telemetry = registerTelemetry();
  });
  afterAll(() => telemetry?.[Symbol.dispose]());

  /** Whatever a request had, once its last span has ended. */
  const spansOf = async (id: string, last: string) => {
    await vi.waitFor(() => expect(telemetry.spansOf(id).map(({ name }) => name)).toContain(last), 10_000);
    return telemetry.spansOf(id);
  };

  it('a request to a fleet is one trace, from HTTP to the board', async () => {
    const id = newTrace();
    const answer = await fleet.complete({ traceparent: traceparent(id), tracestate: 'congo=t61rcWkgMzE' });
    await answer.text();
    const spans = await spansOf(id, 'POST /v1/completions');
    const http = named(spans, 'POST /v1/completions');
    const generation = named(spans, 'text_completion');
    const request = named(spans, 'fleet.request');
    const delivery = named(spans, 'fleet.delivery');
    expect(parentOf(http)).toBe(SPAN);
    expect(http.attributes).toMatchObject({
      'http.request.method': 'POST',
      'http.route': '/v1/completions',
      'http.response.status_code': 200,
    });
    expect(parentOf(generation)).toBe(http.spanContext().spanId);
    expect(parentOf(request)).toBe(generation.spanContext().spanId);
    expect(parentOf(named(spans, 'fleet.wait'))).toBe(request.spanContext().spanId);
    expect(parentOf(delivery)).toBe(request.spanContext().spanId);
    expect(delivery.attributes['pynq_llm.board']).toMatch(/^mock-[12]$/);
    expect(delivery.events.map(({ name }) => name)).toEqual(['begun', 'first token']);
    for (const span of spans) {
      expect(span.spanContext().traceFlags).toBe(1);
      expect(span.status.code).toBe(0);
    }
    expect(http.spanContext().traceState?.serialize()).toBe('congo=t61rcWkgMzE');
    expect(delivery.spanContext().traceState?.serialize()).toBe('congo=t61rcWkgMzE');
    expect(answer.headers.get('traceresponse')).toBe(`00-${id}-${http.spanContext().spanId}-01`);
    expect(linesOf(fleet, id).map(({ message }) => message)).toContain('a request ended on this board');
  });

  it('a generation of the SDK is part of what is active, with its phases in it', async () => {
    const tracer = trace.getTracer('test');
    const [id, active, done] = await tracer.startActiveSpan('ask', async (span) => {
      const ended = await agent.model.generate(PROMPT, { maxTokens: 5, temperature: 0 }).done;
      span.end();
      return [span.spanContext().traceId, span.spanContext().spanId, ended] as const;
    });
    const spans = await spansOf(id, 'ask');
    const generation = named(spans, 'text_completion');
    expect(parentOf(generation)).toBe(active);
    expect(generation.attributes).toMatchObject({
      'gen_ai.request.model': agent.model.digest,
      'gen_ai.usage.input_tokens': done.timing.promptTokens,
      'gen_ai.usage.output_tokens': 5,
      'gen_ai.response.finish_reasons': ['max-tokens'],
    });
    let before = msOf(generation.startTime);
    for (const name of ['queue', 'prefill', 'decode']) {
      const phase = named(spans, name);
      expect(parentOf(phase)).toBe(generation.spanContext().spanId);
      expect(msOf(phase.startTime)).toBeGreaterThanOrEqual(before - 0.001);
      before = msOf(phase.endTime);
    }
    expect(msOf(generation.endTime)).toBeGreaterThanOrEqual(before - 0.001);
    await vi.waitFor(() => expect(linesOf(agent, id)).toHaveLength(1));
    expect(JSON.stringify(spans.map(({ attributes }) => attributes))).not.toContain('Once');
  });

  it('what fails says why, by its code', async () => {
    const id = newTrace();
    const refused = agent.model.generate({ tokens: [4_000_000] }, { traceparent: traceparent(id) });
    await expect(refused.done).rejects.toMatchObject({ code: 'LLM_TOKEN_RANGE' });
    const generation = named(await spansOf(id, 'text_completion'), 'text_completion');
    expect(generation.attributes['error.type']).toBe('LLM_TOKEN_RANGE');
    expect(generation.status.code).toBe(2);
  });

  it('a request whose board is lost has a delivery for each of its boards', async () => {
    await using lossy = await testFleet({ boards: 2, leaseMs: 600, maxWaitMs: 20_000 });
    await using board: BoardClient = await connect(lossy.url);
    const model: Model = await board.models.upload(TINY_MODEL);
    let lost: string | undefined;
    for (const [name, { cut }] of lossy.boards)
      cut.before = (subject, entry) => {
        if (lost !== undefined || !subject.startsWith('tok.') || !entry.endsWith('.3')) return false;
        lost = name;
        return true;
      };
    const id = newTrace();
    await model.generate(PROMPT, { maxTokens: 8, temperature: 0, traceparent: traceparent(id) }).text();
    const spans = await spansOf(id, 'fleet.request');
    const deliveries = spans.filter(({ name }) => name === 'fleet.delivery');
    // A machine that is busy may have lost the other board for a while, too.
    expect(deliveries.length).toBeGreaterThan(1);
    expect(deliveries.map(({ attributes }) => attributes['pynq_llm.delivery'])).toEqual(
      deliveries.map((_, i) => i + 1),
    );
    const boards = deliveries.map(({ attributes }) => attributes['pynq_llm.board']);
    expect(boards).toContain(lost);
    expect(boards.at(-1)).not.toBe(lost);
    expect(deliveries.map(({ status }) => status.code)).toEqual([...deliveries.slice(1).map(() => 2), 0]);
  });
});

describe('where nobody has registered OpenTelemetry', () => {
  it('nothing of it is loaded, though it is installed', () => {
    const script = `
      import { createRequire } from 'node:module';
      import { openMock } from './dist/sdk/mock.js';
      const board = await openMock();
      const model = await board.models.upload(${JSON.stringify(TINY_MODEL)});
      await model.generate('Once', { maxTokens: 2, traceparent: '${traceparent('b'.repeat(32))}' }).text();
      await board.close();
      const { cache } = createRequire(import.meta.url);
      const loaded = Object.keys(cache).filter((path) => path.includes('opentelemetry'));
      console.log(JSON.stringify([loaded, Symbol.for('opentelemetry.js.api.1') in globalThis]));
    `;
    const printed = execFileSync(process.execPath, ['--input-type=module', '-e', script], {
      encoding: 'utf8',
      timeout: 100_000,
    });
    expect(JSON.parse(printed)).toEqual([[], false]);
  });

  it('nothing that keeps or sends spans is in the bundle for boards, and it is no dependency', () => {
    const folder = join('dist', 'bundle', 'agent');
    const modules = readdirSync(folder).filter((file) => /\.m?js$/.test(file));
    expect(modules.length).toBeGreaterThan(3);
    // The API itself is in it with prom-client, which takes exemplars from it.
    const keepsSpans = /SpanExporter|SpanProcessor|BasicTracerProvider|sdk-trace/;
    expect(modules.filter((file) => keepsSpans.test(readFileSync(join(folder, file), 'utf8')))).toEqual([]);
    const { dependencies, peerDependenciesMeta } = JSON.parse(readFileSync('package.json', 'utf8'));
    expect(Object.keys(dependencies).filter((name) => name.includes('opentelemetry'))).toEqual([]);
    expect(peerDependenciesMeta).toEqual({ '@opentelemetry/api': { optional: true } });
  });
});
