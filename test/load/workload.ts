import { Random } from '../../maths/index.js';

/** What a text follows from: the same task has the same text, whoever asks, however and beside whomever. */
export interface Task {
  readonly prompt: string;
  readonly maxTokens: number;
  /** 0 is greedy. */
  readonly temperature: 0 | 1;
  readonly seed: number;
}

/** A task with the text that it was found to have when nothing else was computed. */
export interface SolvedTask extends Task {
  readonly text: string;
}

/** How requests reach the agent. */
export const TRANSPORTS = ['completion', 'completion-stream', 'chat', 'chat-stream', 'ws'] as const;
export type Transport = (typeof TRANSPORTS)[number];

/**
 * What the client does: reads on; reads a token and pauses; cancels in the orderly way; destroys its socket and never comes
 * back; loses its connection and comes back (WebSocket only).
 */
export type Behaviour = 'read' | 'slow' | 'abort' | 'vanish' | 'break';

export interface PlannedRequest {
  readonly task: SolvedTask;
  readonly service: 'interactive' | 'batch';
  readonly speculation: 'none' | 'lookup' | 'draft';
  readonly behaviour: Behaviour;
  /** Answers to the same prompt, of the transports that do not stream: now and then more than the agent takes in. */
  readonly answers: number;
  /** Tokens after which it aborts, vanishes or breaks; those without a stream do so after as many times 20 ms. */
  readonly after: number;
  /** Of a slow reader, after each token. */
  readonly pauseMs: number;
  /** Before the client asks again. */
  readonly thinkMs: number;
}

/** A system prompt that many requests share, so that they share its pages of keys and values. */
const PREAMBLE =
  'You tell short stories for little children. Every story has a beginning, a middle and a happy end. ' +
  'The children in the stories are kind and help each other. ';
const SENTENCES = [
  'Once upon a time there was a little girl named Lily.',
  'One day Tim went to the park with his mom.',
  'The dog was very happy and ran to the big tree.',
  'Tom had a red ball and he liked to play with it.',
  'It was a sunny day and the birds were singing.',
  'The cat saw a small fish in the water.',
  'Mom said that it was time to go home.',
];

/** Whole numbers and choices from a seed. */
export class Dice {
  readonly #random: Random;

  constructor(seed: number) {
    this.#random = new Random(seed);
  }

  /** From 0 to below `limit`. */
  below(limit: number): number {
    return this.#random.nextUint32() % limit;
  }

  /** One of them, each as likely as the others. */
  pick<T>(choices: readonly T[]): T {
    return choices[this.below(choices.length)];
  }

  /** One of `choices`, each as likely as its weight says. */
  choose<T extends string>(choices: Readonly<Record<T, number>>): T {
    const entries = Object.entries<number>(choices);
    let rest = this.below(entries.reduce((sum, [, weight]) => sum + weight, 0));
    for (const [choice, weight] of entries) {
      // The keys of `choices` are of type T.
      if (rest < weight) return choice as T;
      rest -= weight;
    }
    throw new Error('the weights add up');
  }
}

/** Tasks of all lengths: prompts of some to some hundred tokens, answers of 1 to 96. */
export function makeTasks(seed: number, count: number): Task[] {
  const dice = new Dice(seed);
  return Array.from({ length: count }, () => {
    const sentences = Array.from(
      { length: 1 + dice.below(8) },
      () => SENTENCES[dice.below(SENTENCES.length)],
    );
    const long = dice.below(4) === 0;
    return {
      prompt: (dice.below(3) === 0 ? PREAMBLE : '') + sentences.join(' '),
      maxTokens: long ? 48 + dice.below(49) : 1 + dice.below(32),
      temperature: dice.below(3) === 0 ? 1 : 0,
      seed: dice.below(1_000),
    };
  });
}

/** The next request of a client. */
export function planRequest(
  dice: Dice,
  tasks: readonly SolvedTask[],
  transport: Transport,
  service: 'interactive' | 'batch',
): PlannedRequest {
  const task = tasks[dice.below(tasks.length)];
  const takesSeveral = task.temperature === 0 && (transport === 'completion' || transport === 'chat');
  const { read, slow, abort, vanish } = { read: 60, slow: 15, abort: 15, vanish: 5 };
  return {
    task,
    service,
    speculation: dice.choose({ none: 4, lookup: 2, draft: 1 }),
    answers: takesSeveral && dice.below(6) === 0 ? 2 + dice.below(15) : 1,
    behaviour: dice.choose({ read, slow, abort, vanish, break: transport === 'ws' ? 10 : 0 }),
    after: 1 + dice.below(24),
    pauseMs: 20 + dice.below(130),
    thinkMs: dice.below(300),
  };
}
