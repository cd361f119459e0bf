import { join } from 'node:path';
import { MessageChannel, type MessagePort, Worker } from 'node:worker_threads';
import { loadBoardDescription } from '../../../../board/index.js';
import { Accelerator } from '../../../../driver/index.js';
import {
  fileSource,
  type GgmlType,
  type GgufFile,
  type LlamaDimensions,
  openGguf,
} from '../../../../gguf/index.js';
import type { Engine } from '../../../../llm/engine/engine.js';
import type { GenerateRequest } from '../../../../llm/engine/request.js';
import {
  kvShapeOfStage,
  Lane,
  LaneMemory,
  largestPart,
  memberKvShape,
  stagePool,
  type TensorCut,
} from '../../../../llm/index.js';
import type { KvType } from '../../../../llm/kv/layout.js';
import { modelShape } from '../../../../llm/memory/model-shape.js';
import { loadModel } from '../../../../llm/model/load-model.js';
import type { Model } from '../../../../llm/model/model.js';
import { openMockBoard } from '../../../../mock-device/index.js';
import { Bench, syntheticGguf } from '../models.js';

/** A model that threads can open: a file, or random weights whose types go by the length of their names. */
export type ModelSource =
  | { readonly file: string }
  | { readonly types: readonly GgmlType[]; readonly dimensions: Partial<LlamaDimensions> };

/** Columns of a step, as threads get them: caches by number, and whether logits are wanted. */
export type PlainColumn = readonly [cache: number, token: number, position: number, wanted: boolean];

export interface GroupSettings {
  readonly source: ModelSource;
  readonly cut: TensorCut;
  readonly kvType?: KvType;
  /** Bytes that each member has for keys and values; plenty unless given. */
  readonly kvBytes?: number;
  readonly maxColumns?: number;
  /** Whether boards have cores. */
  readonly cores?: boolean;
  /** Of this member the core's DMA fails so many times. */
  readonly fails?: { readonly member: number; readonly times: number };
  /** This member takes no part in anything from its second step on. */
  readonly silent?: number;
  readonly deadlineMs?: number;
  /** A lane of each member's own, which something keeps alike; one that all have unless given. */
  readonly lanes?: readonly LaneMemory[];
  /** Bytes of a lane's messages; as many as the largest takes unless given. */
  readonly capacity?: number;
}

/** What the members compute: steps of columns, or what an engine on the first one makes of requests. */
export type Work =
  | { readonly steps: readonly (readonly PlainColumn[])[] }
  | { readonly requests: readonly GenerateRequest[]; readonly engine: { readonly columnsPerStep?: number } };

/** What a thread is given to do. */
export interface MemberJob extends Omit<GroupSettings, 'lanes'> {
  readonly shared: SharedArrayBuffer;
  readonly member: number;
  readonly work: Work;
  /** Between the first member and the others, in their order: batches, and nothing at the end. */
  readonly ports: readonly MessagePort[];
}

/** Random weights by what they are made of: each thread makes them once. */
const synthetic = new Map<string, GgufFile>();

export function openSource(source: ModelSource): GgufFile {
  if ('file' in source) return openGguf(fileSource(source.file));
  const { types, dimensions } = source;
  const key = JSON.stringify(source);
  const gguf = synthetic.get(key) ?? syntheticGguf((name) => types[name.length % types.length], dimensions);
  synthetic.set(key, gguf);
  return gguf;
}

export const family = (file: string): ModelSource => ({ file: join('test', 'fixtures', 'families', file) });

/** One member's model, on a mock board of its own. */
export function loadPart(job: MemberJob) {
  const { source, cut, kvType, maxColumns = 16, cores = true, deadlineMs = 30_000 } = job;
  const lane = new Lane(new LaneMemory(job.shared), job.member, { deadlineMs });
  const board = cores ? openMockBoard(loadBoardDescription('pynq-z1')) : undefined;
  const accelerator = board && new Accelerator(board);
  const part = { cut, gather: lane };
  const gguf = openSource(source);
  const shape = modelShape(gguf);
  const all = kvShapeOfStage(shape, { from: 0, to: shape.layers });
  const parts = cut.shares.map((share) => ({
    shape: memberKvShape(all, share),
    bytes: job.kvBytes ?? 4 * 2 ** 20,
  }));
  const kvPool = stagePool(parts, kvType ?? 'f16');
  const model = loadModel(gguf, { accelerator, kvType, kvPool, maxColumns, coreTypes: 'exact', part });
  const close = () => {
    model.close();
    accelerator?.close();
  };
  return { lane, model, board, close };
}

/** Runs steps on a model; caches are made as they come. @returns the logits of each column that wants them, in order */
export function runSteps(
  model: Model,
  steps: readonly (readonly PlainColumn[])[],
  begin: (batch: number) => void = () => {},
): Float32Array[] {
  const caches = new Map<number, ReturnType<Model['newCache']>>();
  const results: Float32Array[] = [];
  for (const [number, step] of steps.entries()) {
    begin(number);
    const columns = step.map(([name, token, position, wanted]) => {
      const cache = caches.get(name) ?? model.newCache();
      caches.set(name, cache);
      return {
        cache,
        token,
        position,
        logits: wanted ? new Float32Array(model.config.vocabSize) : undefined,
      };
    });
    model.forward(columns);
    for (const { logits } of columns) if (logits !== undefined) results.push(logits);
  }
  for (const cache of caches.values()) cache.release();
  return results;
}

/** What an engine made of a request. */
export interface Outcome {
  readonly tokens: readonly { readonly id: number; readonly text: string }[];
  readonly reason: string | undefined;
  readonly error: string | undefined;
}

export function runRequests(
  model: Model,
  { requests, engine: options }: Extract<Work, { requests: unknown }>,
  isMirrored: boolean,
  step: (engine: Engine) => void = (engine) => engine.step(),
): Outcome[] {
  const bench = new Bench(model, { ...options, isMirrored });
  const all = requests.map((request) => bench.submit(request).received);
  while (bench.engine.hasWork) step(bench.engine);
  return all.map(({ tokens, result, error }) => ({
    tokens: tokens.map(({ id, text }) => ({ id, text })),
    reason: result?.reason,
    error: error && String((error as { code?: string }).code),
  }));
}

/** What a member has to say at its end. */
export interface MemberReport {
  readonly exchanges: number;
  readonly bytes: number;
  readonly logits: readonly Float32Array[];
  readonly outcomes: readonly Outcome[];
  readonly faults: { readonly faults: number; readonly recovered: number };
  readonly error?: { readonly code: string; readonly message: string };
}

/** Threads that each run a member; all wait for each other, so none is the test's own. */
export class MemberThreads {
  readonly #threads: Promise<Worker>[] = [];

  /** @returns the members' reports, in order */
  async run({ lanes, ...settings }: GroupSettings, work: Work): Promise<MemberReport[]> {
    const { cut, maxColumns = 16 } = settings;
    const { headDim } = modelShape(openSource(settings.source));
    const capacity = settings.capacity ?? largestPart(cut, headDim, maxColumns);
    const common = lanes === undefined ? LaneMemory.create(cut.shares.length, capacity) : undefined;
    const threads = await Promise.all(cut.shares.map((_, member) => this.#thread(member)));
    const channels = cut.shares.slice(1).map(() => new MessageChannel());
    return Promise.all(
      cut.shares.map((_, member) => {
        const thread = threads[member];
        const ports = member === 0 ? channels.map(({ port1 }) => port1) : [channels[member - 1].port2];
        const { shared } = lanes?.[member] ?? common!;
        const job: MemberJob = { ...settings, shared, member, work, ports };
        return new Promise<MemberReport>((resolve, reject) => {
          const settle = (done: () => void) => {
            thread.off('message', onReport).off('error', onError);
            done();
          };
          const onReport = (report: MemberReport) => settle(() => resolve(report));
          const onError = (error: unknown) => settle(() => reject(error));
          thread.on('message', onReport).on('error', onError);
          thread.postMessage(job, [...ports]);
        });
      }),
    );
  }

  async close(): Promise<void> {
    await Promise.all(this.#threads.map(async (thread) => (await thread).terminate()));
  }

  /** Once it is there to be given something to do: no deadline of a job counts its start. */
  #thread(member: number): Promise<Worker> {
    this.#threads[member] ??= new Promise((resolve, reject) => {
      const thread = new Worker(new URL('./member-main.js', import.meta.url), { execArgv: [] });
      thread.once('error', reject);
      thread.once('message', () => {
        thread.off('error', reject);
        resolve(thread);
      });
    });
    return this.#threads[member];
  }
}

/** The same by one board. */
export function runAlone(
  { source, kvType, maxColumns = 16, cores = true }: GroupSettings,
  work: Work,
): Pick<MemberReport, 'logits' | 'outcomes'> {
  const accelerator = cores ? new Accelerator(openMockBoard(loadBoardDescription('pynq-z1'))) : undefined;
  const model = loadModel(openSource(source), { accelerator, kvType, maxColumns, coreTypes: 'exact' });
  const logits = 'steps' in work ? runSteps(model, work.steps) : [];
  const outcomes = 'requests' in work ? runRequests(model, work, false) : [];
  model.close();
  accelerator?.close();
  return { logits, outcomes };
}
