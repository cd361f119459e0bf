import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import { loadBoardDescription } from '../../../../board/index.js';
import { Accelerator } from '../../../../driver/index.js';
import {
  fileSource,
  type GgmlType,
  type GgufFile,
  type LlamaDimensions,
  openGguf,
} from '../../../../gguf/index.js';
import type { KvType } from '../../../../llm/kv/layout.js';
import { modelShape } from '../../../../llm/memory/model-shape.js';
import { loadModel } from '../../../../llm/model/load-model.js';
import type { Model } from '../../../../llm/model/model.js';
import { largestPart, type TensorCut } from '../../../../llm/tensor/cut.js';
import { Lane } from '../../../../llm/tensor/lane.js';
import { LaneMemory } from '../../../../llm/tensor/lane-memory.js';
import { openMockBoard } from '../../../../mock-device/index.js';
import { syntheticGguf } from '../models.js';

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
  readonly maxColumns?: number;
  /** Whether boards have cores, and whether the first core of a member fails now and then. */
  readonly cores?: boolean;
  readonly deadlineMs?: number;
  /** Bytes of a lane's messages; as many as the largest takes unless given. */
  readonly capacity?: number;
}

/** What a thread is started with. */
export interface MemberSetup extends GroupSettings {
  readonly shared: SharedArrayBuffer;
  readonly member: number;
  readonly steps: readonly (readonly PlainColumn[])[];
}

export function openSource(source: ModelSource): GgufFile {
  if ('file' in source) return openGguf(fileSource(source.file));
  const { types, dimensions } = source;
  return syntheticGguf((name) => types[name.length % types.length], dimensions);
}

export const family = (file: string): ModelSource => ({ file: join('test', 'fixtures', 'families', file) });

/** One member's model, on a mock board of its own. */
export function loadPart(setup: Omit<MemberSetup, 'steps'>) {
  const { source, cut, kvType, maxColumns = 16, cores = true, deadlineMs = 60_000 } = setup;
  const lane = new Lane(new LaneMemory(setup.shared), setup.member, { deadlineMs });
  const accelerator = cores ? newAccelerator() : undefined;
  const part = { cut, gather: lane };
  const options = { accelerator, kvType, maxColumns, coreTypes: 'exact', part } as const;
  const model = loadModel(openSource(source), options);
  const close = () => {
    model.close();
    accelerator?.close();
  };
  return { lane, model, accelerator, close };
}

export function newAccelerator(): Accelerator {
  return new Accelerator(openMockBoard(loadBoardDescription('pynq-z1')));
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

/** Runs all members, each on a thread of its own: they wait for each other. @returns their reports, in order */
export async function runMembers(
  settings: GroupSettings,
  steps: MemberSetup['steps'],
  main = './member-main.js',
): Promise<MemberReport[]> {
  const { cut, maxColumns = 16 } = settings;
  const { headDim } = modelShape(openSource(settings.source));
  const capacity = settings.capacity ?? largestPart(cut, headDim, maxColumns);
  const memory = LaneMemory.create(cut.shares.length, capacity);
  const { shared } = memory;
  return Promise.all(
    cut.shares.map((_, member) => {
      const workerData: MemberSetup = { ...settings, shared, member, steps };
      const thread = new Worker(new URL(main, import.meta.url), { workerData, execArgv: [] });
      return new Promise<MemberReport>((resolve, reject) => {
        thread.once('message', resolve);
        thread.once('error', (error) => {
          memory.end();
          reject(error);
        });
      });
    }),
  );
}

/** What a member has to say at its end. */
export interface MemberReport {
  readonly exchanges: number;
  readonly bytes: number;
  readonly logits: readonly Float32Array[];
  readonly error?: { readonly code: string; readonly message: string };
}

/** The same steps by one board. */
export function runAlone(
  { source, kvType, maxColumns = 16, cores = true }: GroupSettings,
  steps: MemberSetup['steps'],
) {
  const accelerator = cores ? newAccelerator() : undefined;
  const model = loadModel(openSource(source), { accelerator, kvType, maxColumns, coreTypes: 'exact' });
  const logits = runSteps(model, steps);
  model.close();
  accelerator?.close();
  return logits;
}
