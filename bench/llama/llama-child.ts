import { type RunTask, serveRuns } from './timed-run.js';

/** What is used of node-llama-cpp, which is no dependency: it is there where the user has installed it. */
interface NodeLlamaCpp {
  getLlama(options: object): Promise<{
    loadModel(options: object): Promise<{ createContext(options: object): Promise<LlamaContext> }>;
  }>;
}
interface LlamaContext {
  getSequence(): LlamaSequence;
}
interface LlamaSequence {
  clearHistory(): Promise<void>;
  controlledEvaluate(
    input: readonly (number | readonly [number, object])[],
  ): Promise<readonly ({ readonly next: { readonly token?: number } } | undefined)[]>;
}

const LIKELIEST = { generateNext: { token: true, options: { temperature: 0 } } };

// llama.cpp on the CPU, one thread, as its package for Node comes.
const task = JSON.parse(process.argv[2]) as RunTask;
const { getLlama } = (await import(task.module!)) as NodeLlamaCpp;
const llama = await getLlama({
  gpu: false,
  build: 'never',
  maxThreads: 1,
  progressLogs: false,
  logLevel: 'error',
});
const model = await llama.loadModel({ modelPath: task.file, gpuLayers: 0 });
const contextSize = task.promptTokens + task.newTokens + 1;
const context = await model.createContext({
  contextSize,
  batchSize: task.promptTokens,
  threads: 1,
  sequences: 1,
});
const sequence = context.getSequence();
let next = 0;

async function feed(tokens: readonly number[]): Promise<void> {
  const last = tokens.length - 1;
  const input = tokens.map((token, i) => (i === last ? ([token, LIKELIEST] as const) : token));
  const token = (await sequence.controlledEvaluate(input)).at(-1)?.next.token;
  if (token === undefined) throw new Error('llama.cpp gave no token');
  next = token;
}

serveRuns(task, {
  async prefill(prompt) {
    await sequence.clearHistory();
    await feed(prompt);
  },
  decode: () => feed([next]),
});
