import { loadBoardDescription } from '../../../board/description-file.js';
import { Accelerator } from '../../../driver/accelerator.js';
import {
  bytesSource,
  fileSource,
  GgmlType,
  GgufFile,
  type GgufValue,
  type LlamaDimensions,
  openGguf,
  writeSyntheticLlama,
} from '../../../gguf/index.js';
import { Engine } from '../../../llm/engine/engine.js';
import type { ServiceOptions, TokenSink } from '../../../llm/engine/job.js';
import type { EngineOptions } from '../../../llm/engine/options.js';
import type { GenerateRequest, GenerationResult, TokenOutput } from '../../../llm/engine/request.js';
import { KvLayout, type KvType } from '../../../llm/kv/layout.js';
import { kvShapeOf, readConfig } from '../../../llm/model/config.js';
import { loadModel } from '../../../llm/model/load-model.js';
import type { Model } from '../../../llm/model/model.js';
import { openMockBoard } from '../../../mock-device/index.js';
import { convolvingGguf } from './convolving.js';

export const TINY_STORIES = 'models/tiny-stories-Q3_K_M.gguf';

/** A model of random weights, small enough to load in milliseconds. */
export const SMALL: LlamaDimensions = {
  embedding: 256,
  layers: 2,
  feedForward: 512,
  heads: 8,
  kvHeads: 2,
  vocabulary: 1000,
  contextLength: 64,
  ropeTheta: 10000,
  tiedOutput: false,
};

export function syntheticGguf(
  typeOf: (name: string) => GgmlType,
  dimensions: Partial<LlamaDimensions> = {},
): GgufFile {
  const pieces: Uint8Array[] = [];
  writeSyntheticLlama(
    { write: (bytes) => pieces.push(bytes.slice()) },
    { dimensions: { ...SMALL, ...dimensions }, typeOf, seed: 7 },
  );
  return openGguf(bytesSource(Buffer.concat(pieces)));
}

export function tinyStories(): Model {
  return loadModel(openGguf(fileSource(TINY_STORIES)));
}

/** The same bits many times sooner: the CPU's own arithmetic for K-quants is plain, not fast. */
export function tinyStoriesOnCore(contextLength?: number): Model {
  const board = openMockBoard({ ...loadBoardDescription('kv260'), timing: 'systemc' });
  return loadModel(openGguf(fileSource(TINY_STORIES)), {
    accelerator: new Accelerator(board),
    contextLength,
  });
}

/** The same file with metadata or tensors changed after reading: `undefined` takes an entry away. */
export function changed(
  gguf: GgufFile,
  metadata: Readonly<Record<string, GgufValue | undefined>>,
  tensors: Record<string, Record<string, unknown> | undefined> = {},
): GgufFile {
  const values = new Map(gguf.metadata);
  for (const [key, value] of Object.entries(metadata)) {
    if (value === undefined) values.delete(key);
    else values.set(key, value);
  }
  const infos = new Map(gguf.tensors);
  for (const [name, change] of Object.entries(tensors)) {
    const tensor = infos.get(name);
    if (change === undefined || tensor === undefined) infos.delete(name);
    else infos.set(name, { ...tensor, ...change });
  }
  return new GgufFile(gguf.source, gguf.version, values, infos);
}

/**
 * The model with layers put on top until it has so many: the first one again, with nothing but zeros in the two matrices that
 * add to the hidden state.
 */
export function deepened(gguf: GgufFile, layers: number): GgufFile {
  const { source } = gguf;
  const has = Number(gguf.metadata.get('llama.block_count'));
  const zeros = Math.max(...[...gguf.tensors.values()].map(({ byteLength }) => byteLength));
  const tensors = new Map(gguf.tensors);
  for (let layer = has; layer < layers; layer++)
    for (const [name, tensor] of gguf.tensors) {
      if (!name.startsWith('blk.0.')) continue;
      const copy = name.replace('blk.0.', `blk.${layer}.`);
      const addsNothing = /attn_output|ffn_down/.test(name);
      tensors.set(copy, { ...tensor, name: copy, ...(addsNothing ? { byteOffset: source.size } : {}) });
    }
  const padded = {
    size: source.size + zeros,
    readInto: (offset: number, into: Uint8Array) => {
      const rest = source.size - offset;
      if (rest <= 0) into.fill(0);
      else source.readInto(offset, into);
    },
  };
  const metadata = new Map(gguf.metadata).set('llama.block_count', layers);
  return new GgufFile(padded, gguf.version, metadata, tensors);
}

/** Feeds tokens one at a time or in one go and returns the logits after each. */
export function logitsOf(model: Model, tokens: readonly number[], together = true): Float32Array[] {
  const cache = model.newCache();
  const columns = tokens.map((token, position) => ({
    cache,
    token,
    position,
    logits: new Float32Array(model.config.vocabSize),
  }));
  if (together) model.forward(columns);
  else for (const column of columns) model.forward([column]);
  cache.release();
  return columns.map(({ logits }) => logits);
}

/** What a sink received. */
export interface Received {
  readonly tokens: TokenOutput[];
  result?: GenerationResult;
  error?: Error;
}

export class Bench {
  readonly engine: Engine;

  constructor(
    readonly model: Model,
    options: EngineOptions = {},
  ) {
    this.engine = new Engine(model, options);
  }

  submit(request: GenerateRequest, service: ServiceOptions = {}) {
    const received: Received = { tokens: [] };
    let parts = 0;
    const begin = (from: GenerateRequest) => {
      const part = ++parts;
      const sink: TokenSink = {
        onToken: (token) => received.tokens.push(token),
        onDone: (result) => {
          if (part === parts) received.result = result;
        },
        onError: (error) => {
          received.error = error;
        },
      };
      return this.engine.submit(from, sink, service);
    };
    let now = begin(request);
    const generation = {
      get prompt() {
        return now.prompt;
      },
      grant: (credit: number) => now.grant(credit),
      cancel: () => now.cancel(),
      /** Ends it, and begins another request that goes on after the tokens that it had. */
      move: () => {
        if (received.result !== undefined || received.error !== undefined || request.beams) return;
        now.cancel();
        const continueFrom = received.tokens.map(({ id }) => id);
        now = begin({ ...request, continueFrom, credit: continueFrom.length });
      },
    };
    return { received, generation };
  }

  run(): void {
    while (this.engine.hasWork) this.engine.step();
  }
}

export const GREEDY = { temperature: 0 } as const;

export function textOf({ tokens, result }: Received): string {
  return tokens.map(({ text }) => text).join('') + (result?.text ?? '');
}

/**
 * A model of one layer without a core, with room for so many pages of keys and values; or of one that attends between two that
 * convolve.
 */
export function tinyOfPages(
  kvType: KvType,
  pages: number,
  mixer: 'attention' | 'convolution' = 'attention',
): Model {
  if (mixer === 'convolution') {
    const gguf = convolvingGguf();
    const { frameBytes, pageFrames, rowFrames } = new KvLayout(kvShapeOf(readConfig(gguf)), kvType);
    // And what an open page has beside, for some of the sequences that an engine runs.
    const frames = pages * pageFrames + 3 * rowFrames;
    return loadModel(gguf, { kvType, kvBytes: frames * frameBytes, maxColumns: 24 });
  }
  const { frameBytes, pageFrames } = new KvLayout({ layers: 1, heads: 4, kvHeads: 2, headDim: 8 }, kvType);
  const gguf = syntheticGguf(() => GgmlType.F32, {
    embedding: 32,
    layers: 1,
    feedForward: 32,
    heads: 4,
    kvHeads: 2,
    vocabulary: 260,
    contextLength: 128,
  });
  return loadModel(gguf, { kvType, kvBytes: pages * pageFrames * frameBytes, maxColumns: 24 });
}
