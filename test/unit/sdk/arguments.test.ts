import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { BoardClient } from '../../../sdk/board-client.js';
import type { Connection } from '../../../sdk/connection.js';
import { agentStatus, connect, examine, inspectModel, openSsh, parseSshTarget } from '../../../sdk/index.js';
import { Model } from '../../../sdk/model.js';
import { scriptedAgent } from './scripted-agent.js';

const DIGEST = '0'.repeat(64);
const TOTALS = { tensors: 0, bytes: 0, weights: 0 };
const LOADED = {
  facts: {
    name: 'tiny',
    layers: 1,
    embeddingLength: 1,
    feedForwardLength: 1,
    heads: 1,
    keyValueHeads: 1,
    vocabularySize: 1,
    trainedContextLength: 1,
    contextLength: 1,
    hasChatTemplate: false,
  },
  placement: {
    board: 'scripted',
    tensors: [],
    totals: { resident: TOTALS, staged: TOTALS, cpu: TOTALS },
    dmaMemory: { total: 0, working: 0, free: 0 },
    tokenCycles: { words: 0, hls: 0 },
  },
};
const BUFFER = { buffer: 1, physicalAddress: 4096, byteLength: 64 };

const agent = scriptedAgent(({ method, stream }) => {
  if (method === 'models.load') {
    stream().end();
    return LOADED;
  }
  return method === 'buffers.allocate' ? BUFFER : {};
});
let connection: Connection;
let board: BoardClient;
let model: Model;

beforeAll(async () => {
  connection = await agent.connect();
  // What the board is, nobody asks here.
  board = new BoardClient(connection, {} as BoardClient['info']);
  model = await Model.load(connection, DIGEST, {});
  agent.calls.length = 0;
});
afterAll(() => connection.close());

/** What plain JavaScript can hand over. */
// biome-ignore lint/suspicious/noExplicitAny: the types are what is done without here
const wrong = (value: unknown): any => value;

/** The error of a call, thrown at once or later. */
async function errorOf(ask: () => unknown): Promise<unknown> {
  try {
    await ask();
    return undefined;
  } catch (error) {
    return error;
  }
}

const CASES: readonly [name: string, ask: () => unknown, argument: string][] = [
  ['connect', () => connect(wrong(123)), 'url'],
  ['connect', () => connect('mock:', wrong(null)), 'options'],
  ['connect', () => connect('mock:', { timeoutMs: wrong('soon') }), 'options.timeoutMs'],
  ['connect', () => connect('mock:', { timeoutMs: Number.NaN }), 'options.timeoutMs'],
  ['connect', () => connect('mock:', { signal: wrong({}) }), 'options.signal'],
  ['connect', () => connect('mock:', { onConnection: wrong('x') }), 'options.onConnection'],
  ['connect', () => connect('mock:', { reconnectMs: -1 }), 'options.reconnectMs'],
  ['agentStatus', () => agentStatus(wrong(undefined)), 'url'],
  ['openSsh', () => openSsh(wrong('board')), 'target'],
  ['parseSshTarget', () => parseSshTarget(wrong(7)), 'text'],
  ['examine', () => examine(wrong(7), wrong({})).next(), 'url'],
  ['inspectModel', () => inspectModel(wrong(undefined)), 'path'],
  ['health', () => board.health(wrong('now')), 'options'],
  ['allocate', () => board.buffers.allocate(64, wrong(null)), 'options'],
  ['upload', () => board.models.upload(wrong(undefined)), 'model'],
  ['upload', () => board.models.upload('x.gguf', { onProgress: wrong(1) }), 'options.onProgress'],
  ['store', () => board.models.store(wrong([1, 2])), 'model'],
  ['store', () => board.models.store('x.gguf', { name: wrong(1) }), 'options.name'],
  ['get', () => board.models.get(wrong(undefined)), 'model'],
  ['load', () => board.models.load('tiny', wrong('fast')), 'options'],
  ['delete', () => board.models.delete(wrong({})), 'model'],
  ['plan', () => board.models.plan(wrong(3)), 'tensors'],
  ['generate', () => model.generate(wrong([1, 2])), 'prompt'],
  ['generate', () => model.generate(wrong(undefined)), 'prompt'],
  ['generate', () => model.generate(wrong({ text: 5 })), 'prompt'],
  ['generate', () => model.generate(wrong({ messages: 'hello' })), 'prompt'],
  ['generate', () => model.generate('Once', wrong(null)), 'options'],
  ['generate', () => model.generate('Once', { signal: wrong('x') }), 'options.signal'],
  ['generate', () => model.generate('Once', { draftModel: wrong('small') }), 'options.draftModel'],
  ['pin', () => model.pin(wrong(5)), 'prompt'],
  ['pin', () => model.pin('Once', { onProgress: wrong({}) }), 'options.onProgress'],
  ['score', () => model.score(wrong('1,2')), 'tokens'],
  ['score', () => model.score([1], { timeoutMs: wrong('x') }), 'options.timeoutMs'],
  ['perplexity', () => model.perplexity(wrong(new Uint8Array(3))), 'text'],
  ['tokenize', () => model.tokenize(wrong(1)), 'text'],
  ['detokenize', () => model.detokenize(wrong(1)), 'tokens'],
  ['pieces', () => model.pieces(wrong(undefined)), 'tokens'],
  ['applyTemplate', () => model.applyTemplate(wrong({ role: 'user' })), 'messages'],
  ['read', () => board.registers.read(wrong('hwc.RESET')), 'registers'],
  ['write', () => board.registers.write(wrong(undefined)), 'writes'],
  ['subscribe', () => board.counters.subscribe({ signal: wrong(1) }).next(), 'options.signal'],
  ['selfTest', () => board.device.selfTest(wrong(1)), 'directory'],
  ['replay', () => board.trace.replay(wrong('{}')), 'trace'],
];

describe('a wrong argument', () => {
  it.each(CASES)('of %s is refused by name: %#', async (_, ask, argument) => {
    const error = await errorOf(ask);
    expect(error).toMatchObject({ code: 'SDK_ARGUMENT', context: { argument } });
    expect((error as Error).message).toContain(argument);
    expect(agent.calls).toEqual([]);
  });

  it('of a buffer is refused by name', async () => {
    const buffer = await board.buffers.allocate(64);
    expect(await errorOf(() => buffer.write(wrong('abc')))).toMatchObject({ context: { argument: 'data' } });
    expect(await errorOf(() => buffer.read(-1))).toMatchObject({ context: { argument: 'offset' } });
    expect(await errorOf(() => buffer.read(0, -1))).toMatchObject({ context: { argument: 'byteLength' } });
    agent.calls.length = 0;
  });

  it('that a request carries is refused with the name that it has there, and not sent', async () => {
    const { done } = model.generate('Once', { temperature: wrong('hot') });
    await expect(done).rejects.toMatchObject({
      code: 'PROTOCOL_BAD_PARAMS',
      message: expect.stringContaining('sampling.temperature'),
    });
    await expect(board.buffers.allocate(wrong('many'))).rejects.toMatchObject({
      code: 'PROTOCOL_BAD_PARAMS',
      message: expect.stringContaining('byteLength'),
    });
    expect(agent.calls).toEqual([]);
  });
});
