import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { ProgramThreads } from '../../agent/session/program-threads.js';
import { ProgramThread } from '../../agent/worker/program-thread.js';
import { TextQueue } from '../../agent/worker/text-queue.js';
import { Doorbell } from '../../agent/worker-link/doorbell.js';

const ENDLESS = '{% for i in range(100000) %}{% for j in range(100000) %}{% endfor %}{% endfor %}';
const GREEDY = `{% set all = [${Array.from({ length: 1_000 }, () => 'range(100000)').join(',')}] %}`;
const HELLO = '{{ messages[0].content }}';
const CONTENDED_MS = 5_000;
const UNWANTED_MS = 1_000;

let clock: number;
let started: number;
let threads: ProgramThreads;
let programs: ProgramThread;
let queue: TextQueue;
let answers: Map<number, string>;
let calls: number;

/** A queue and a thread whose clock stands still unless it is put forward. */
beforeEach(() => {
  clock = 0;
  started = 0;
  calls = 0;
  answers = new Map();
  const { shared } = new Doorbell();
  threads = new ProgramThreads((thread, reason) => programs.onEnded(thread, reason));
  const start = (thread: number, port: Parameters<ProgramThreads['start']>[1]) => {
    started++;
    threads.start(thread, port, shared);
  };
  programs = new ProgramThread({ start, end: (thread) => threads.end(thread) }, () => clock);
  queue = new TextQueue(
    (call, outcome) =>
      answers.set(call, 'error' in outcome ? String(outcome.error) : JSON.stringify(outcome.result)),
    () => clock,
  );
});
afterEach(() => programs.close());

/** Asks for a conversation's text, as a client of its own share. */
function render(source: string, share: string): number {
  const call = calls++;
  const frame = { source, names: [], bos: '', eos: '' };
  const conversation = { messages: [{ role: 'user' as const, content: 'Hello' }] };
  const work = function* () {
    return {
      text: yield* programs.of([share]).ask('chat', { frame, conversation, addGenerationPrompt: false }),
    };
  };
  queue.add({ call, session: 1, client: [share], model: '', length: 1, work: work() });
  return call;
}

/** Works on the texts until a call is answered. */
async function until(call: number): Promise<string> {
  for (;;) {
    queue.slice();
    const answer = answers.get(call);
    if (answer !== undefined) return answer;
    await sleep(1);
  }
}

describe('the thread for templates', () => {
  it('is ended with a program that nobody wants while others wait, and another begins', async () => {
    await until(render(HELLO, 'greedy'));
    render(ENDLESS, 'greedy');
    queue.slice();
    queue.end(() => true);
    const answer = until(render(HELLO, 'modest'));
    clock += UNWANTED_MS + 1;
    expect(await answer).toBe('{"text":"Hello"}');
    expect(started).toBe(2);
  });

  it('goes on where what nobody wants any more ends soon', async () => {
    await until(render(HELLO, 'greedy'));
    render(HELLO, 'greedy');
    queue.slice();
    queue.end(() => true);
    expect(await until(render(HELLO, 'modest'))).toBe('{"text":"Hello"}');
    expect(started).toBe(1);
  });

  it('is left after some seconds to others who wait: each waits for one program of a share at most', async () => {
    await until(render(HELLO, 'greedy'));
    const endless = Array.from({ length: 5 }, () => render(ENDLESS, 'greedy'));
    queue.slice();
    const modest = ['one', 'two', 'three'].map((share) => render(HELLO, share));
    queue.slice();
    clock += CONTENDED_MS + 1;
    for (const call of modest) expect(await until(call)).toBe('{"text":"Hello"}');
    expect(endless.map((call) => answers.get(call))).toEqual([
      expect.stringMatching(/LLM_CHAT_TEMPLATE_INVALID.*while others waited/),
      ...endless.slice(1).map(() => undefined),
    ]);
  });

  it('that runs out of memory is noticed at once', async () => {
    const answer = await until(render(GREEDY, 'greedy'));
    expect(answer).toMatch(/LLM_CHAT_TEMPLATE_INVALID.*ended its thread.*memory/);
    expect(await until(render(HELLO, 'modest'))).toBe('{"text":"Hello"}');
  }, 60_000);
});
