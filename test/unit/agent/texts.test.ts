import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { openBoard } from '../../../agent/boards/open-board.js';
import { DeviceService } from '../../../agent/worker/device-service.js';
import type { DeviceCall } from '../../../agent/worker-link/messages.js';
import type { DeviceMethod, DeviceParams } from '../../../agent/worker-link/methods.js';
import type { GenerateEvent, Params } from '../../../protocol/index.js';
import { TINY_STORIES } from '../llm/models.js';

const MODEL = 'a'.repeat(64);
const id = (digit: string) => digit.repeat(32);
const LONG = 'a b '.repeat(25_000);
/** Far more tokens than the context of 512 holds, and fewer bytes than its tokens may have: lines, and one line. */
const LINES = 'a\nb\n'.repeat(12_000);
const LINE = 'a b '.repeat(12_000);
const STORY = 'Once upon a time';

const PLENTY = () => ({ available: 2 ** 34, source: 'the test', uploads: 0, isMock: true });
let scratch: string;
let service: DeviceService;
let clock: number;
let answers: Map<number, { result?: unknown; error?: unknown }>;
let events: Map<string, GenerateEvent[]>;
let calls: number;

/** A device service whose clock goes on by a millisecond whenever it is looked at. */
beforeEach(() => {
  scratch = mkdtempSync(join(tmpdir(), 'pynq-llm-test-'));
  clock = 0;
  calls = 0;
  answers = new Map();
  events = new Map();
  service = new DeviceService(
    openBoard('mock:'),
    { scratch, kv: {}, clientWeights: new Map(), systemMemory: PLENTY },
    {
      onEvent: (generation, event) => events.set(generation, [...(events.get(generation) ?? []), event]),
      onProgress: () => {},
      onNote: () => {},
      onStage: () => {},
      onAnswer: (call, outcome) => answers.set(call, outcome),
      // The model has no template.
      programs: { start: () => {}, end: () => {} },
    },
    () => clock++,
  );
  call('models.load', { model: MODEL, path: TINY_STORIES });
});
afterEach(() => {
  service.close();
  rmSync(scratch, { recursive: true, force: true });
});

/** A call of a session, whose share is its own unless given. */
function call<M extends DeviceMethod>(
  method: M,
  params: Omit<DeviceParams<M>, 'client'> & { readonly client?: readonly string[] },
  session = 1,
): number {
  const whole = { client: [`session ${session}`], ...params } as unknown as DeviceParams<M>;
  const sent: DeviceCall<M> = { kind: 'call', id: calls++, session, method, params: whole };
  service.answer(sent);
  return sent.id;
}

function start(
  digit: string,
  text: string,
  session = 1,
  more: Partial<Params<'generate.start'>> = {},
): number {
  const sampling = { maxTokens: 8, ignoreEos: true, seed: 1 };
  const params = { generation: id(digit), model: MODEL, prompt: { text }, sampling, window: 8, ...more };
  return call('generate.start', params, session);
}

function stepsOf(digit: string): number {
  const params = { generation: id(digit) };
  return service.answer({ kind: 'call', id: calls++, session: 1, method: 'generate.progress', params }).steps;
}

/** Slices until all texts are done, at most `most`. */
function slice(most = 100_000): number {
  for (let slices = 0; ; slices++) if (slices === most || !service.models.texts.slice()) return slices;
}

const codeOf = (one: number) => Reflect.get(Object(answers.get(one)?.error), 'code');

describe('a text for a prompt', () => {
  it('is worked on in slices, and refused soon after the first token over the context', () => {
    const whole = call('models.tokenize', { model: MODEL, text: LINES });
    expect(slice()).toBeGreaterThan(1);
    expect(answers.get(whole)).toMatchObject({ result: { tokens: expect.any(Array) } });
    const wholeTime = clock;
    const refused = start('1', LINES);
    slice();
    expect(codeOf(refused)).toBe('LLM_PROMPT_TOO_LONG');
    expect(clock - wholeTime).toBeLessThan(wholeTime / 3);
  });

  it('that cannot fit by its bytes is refused before a token of it is made', () => {
    const before = clock;
    const refused = start('1', 'a'.repeat(1_048_576));
    slice();
    expect(codeOf(refused)).toBe('LLM_PROMPT_TOO_LONG');
    expect(clock - before).toBeLessThan(20);
  });

  it('leaves steps to the generations of others between its slices, most of the time', () => {
    const running = start('1', STORY, 1);
    service.models.grant(id('1'), 8);
    slice();
    expect(answers.get(running)).toMatchObject({ result: { promptTokens: expect.any(Number) } });
    const long = call('models.tokenize', { model: MODEL, text: LONG }, 2);
    let steps = 0;
    let slices = 0;
    while (!answers.has(long)) {
      if (service.models.texts.isDue(service.models.hasWork)) {
        service.models.texts.slice();
        slices++;
        continue;
      }
      service.models.step();
      service.models.texts.sawStep(25);
      steps++;
      if (events.get(id('1'))?.at(-1)?.type === 'done') break;
    }
    expect(slices).toBeGreaterThan(1);
    expect(steps).toBeGreaterThanOrEqual(2 * slices);
  });

  it('takes turns with those of other clients: a short one does not wait for a long one', () => {
    const long = call('models.tokenize', { model: MODEL, text: LONG }, 1);
    const longToo = call('models.tokenize', { model: MODEL, text: LONG }, 1);
    const short = call('models.tokenize', { model: MODEL, text: STORY }, 2);
    slice(2);
    expect([...answers.keys()]).toEqual([short]);
    slice();
    expect([...answers.keys()]).toEqual([short, long, longToo]);
  });

  it('takes turns by shares first: names that divide a share gain it nothing', () => {
    const of = (text: string, ...client: string[]) => call('models.tokenize', { client, model: MODEL, text });
    const greedy = Array.from({ length: 8 }, (_, i) => of(STORY, 'greedy', `name ${i}`));
    const modest = [of(STORY, 'modest', 'one'), of(STORY, 'modest', 'one')];
    slice(4);
    expect([...answers.keys()]).toEqual([greedy[0], modest[0], greedy[1], modest[1]]);
    slice();
    expect([...answers.keys()].slice(4)).toEqual(greedy.slice(2));
  });

  it('of a name that is new goes behind one that waits, however many new names there are', () => {
    const of = (text: string, name: string) =>
      call('models.tokenize', { client: ['share', name], model: MODEL, text });
    const long = of(LONG, 'alice');
    for (let i = 0; !answers.has(long) && i < 5_000; i++) {
      of(STORY, `bob ${i}`);
      slice(1);
    }
    expect(answers.has(long)).toBe(true);
  });

  it('ends with its generation, which has been cancelled; the grants that came before count where it has not', () => {
    const cancelled = start('1', LINE);
    const goesOn = start('2', STORY, 2);
    service.models.grant(id('2'), 3);
    slice(1);
    service.models.cancel(id('1'));
    expect(answers.get(cancelled)).toEqual({ result: { promptTokens: 0 } });
    expect(events.get(id('1'))).toMatchObject([{ type: 'done', reason: 'cancelled', tokens: 0 }]);
    slice();
    expect(answers.get(goesOn)).toMatchObject({ result: { promptTokens: expect.any(Number) } });
    while (service.models.hasWork) service.models.step();
    expect(events.get(id('2'))?.map(({ type }) => type)).toEqual(['token', 'token', 'token']);
    expect(events.get(id('1'))).toHaveLength(1);
  });

  it('and tokens to go on after are taken in by slices, and end with their generation', () => {
    const prompt = { tokens: [300, 301] };
    const sampling = { maxTokens: 400, ignoreEos: true };
    const continueFrom = Array.from({ length: 100 }, (_, i) => 300 + i);
    const goesOn = start('2', '', 2, { prompt, sampling, continueFrom });
    // Each token is a look at the clock, so that a slice takes some of them.
    expect(slice()).toBeGreaterThan(2);
    expect(answers.get(goesOn)).toEqual({ result: { promptTokens: 2 } });
    const cancelled = start('1', '', 1, { prompt, sampling, continueFrom });
    slice(2);
    service.models.cancel(id('1'));
    expect(answers.get(cancelled)).toEqual({ result: { promptTokens: 0 } });
    const timing = { generatedTokens: 100, replayedTokens: 100 };
    expect(events.get(id('1'))).toMatchObject([{ type: 'done', reason: 'cancelled', tokens: 100, timing }]);
    service.models.grant(id('2'), 101);
    while (service.models.hasWork) service.models.step();
    expect(events.get(id('2'))).toMatchObject([{ type: 'token', index: 100 }]);
    service.models.cancel(id('2'));
    service.models.step();
  });

  it('ends with its session, but for a generation, which may be resumed elsewhere', () => {
    const lost = call('models.tokenize', { model: MODEL, text: LONG });
    const pinning = call('models.pin', { pin: id('3'), model: MODEL, prompt: { text: STORY.repeat(20) } });
    const kept = start('1', STORY);
    service.endSession(1);
    expect([codeOf(lost), codeOf(pinning)]).toEqual(['AGENT_CLOSING', 'AGENT_CLOSING']);
    slice();
    expect(answers.get(kept)).toMatchObject({ result: { promptTokens: expect.any(Number) } });
  });

  it('of a pin ends where the pin is released', () => {
    const pinning = call('models.pin', { pin: id('3'), model: MODEL, prompt: { text: STORY.repeat(20) } });
    call('models.unpin', { pin: id('3') });
    expect(codeOf(pinning)).toBe('AGENT_PIN_RELEASED');
    expect(() => call('models.unpin', { pin: id('3') })).toThrow(/AGENT_PIN_UNKNOWN/);
  });

  it('keeps its model loaded, unless everything is unloaded', () => {
    const started = start('1', LINE);
    expect(() => call('models.unload', { model: MODEL })).toThrow(/AGENT_MODEL_BUSY/);
    service.models.unloadAll();
    expect(codeOf(started)).toBe('AGENT_MODEL_NOT_LOADED');
    expect(service.models.texts.slice()).toBe(false);
  });

  it('counts as progress of its generation, and ends at its deadline', () => {
    const late = start('1', LINE, 1, { service: { deadlineMs: 20 } });
    const before = stepsOf('1');
    slice(1);
    expect(stepsOf('1')).toBe(before + 1);
    clock += 20;
    slice(1);
    expect(codeOf(late)).toBe('LLM_DEADLINE');
  });

  it('is refused where very many wait, without harm to those of other clients', () => {
    for (let i = 0; i < 128; i++) call('models.tokenize', { model: MODEL, text: STORY });
    const one = () => call('models.tokenize', { model: MODEL, text: STORY });
    expect(one).toThrow(/LLM_OVERLOADED/);
    const other = call('models.tokenize', { model: MODEL, text: STORY }, 2);
    slice(2);
    expect(answers.has(other)).toBe(true);
    slice();
    expect(one).not.toThrow();
  });
});
