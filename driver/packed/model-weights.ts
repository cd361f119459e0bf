import { createHash } from 'node:crypto';
import type { Board } from '../../board/index.js';
import type { ImageEntry } from './image-table.js';
import { PackedFile, type PackedFs } from './packed-file.js';
import { type KeptTensor, newOrigins, type WeightOrigins } from './packed-tensor.js';
import type { WeightManifest } from './weight-manifest.js';

/** A change of how tiles are packed makes this another number. */
const PACKED_VERSION = 1;

/** Where packed weights of a model may be kept. */
export interface KeepWeights {
  /** Digest of the model file: its contents, whatever its name. */
  readonly model: string;
  /** A folder for files of packed weights, and how many bytes this one may take; none are written unless given. */
  readonly folder?: string | undefined;
  readonly roomBytes?: number | undefined;
  readonly fs?: PackedFs | undefined;
  /** Told in words when kept weights are not as they should be, or cannot be kept. */
  readonly say?: ((note: string) => void) | undefined;
}

/** A tensor of the model, in the model's order. */
interface KeptShape {
  readonly name: string;
  /** Bytes of its packed tiles, 0 where it is not for the core. */
  readonly packedBytes: number;
  /** Of its shape. */
  readonly recipe?: string | undefined;
}

/**
 * What is known of one model's packed weights while it is loaded: a file of them beside the model, and what the manifest says of
 * DMA memory.
 */
export class ModelWeights {
  readonly origins: WeightOrigins = newOrigins();
  readonly #index: ReadonlyMap<string, number>;
  readonly #file: PackedFile | undefined;
  readonly #manifest: WeightManifest | undefined;
  readonly #key: Uint8Array;
  readonly #found: readonly (ImageEntry | undefined)[];
  readonly #resident: (ImageEntry | undefined)[];
  /** The manifest does not say what is in memory now. */
  #differs: boolean;
  #isEmptied = false;

  constructor(
    { description }: Pick<Board, 'description'>,
    manifest: WeightManifest | undefined,
    tensors: readonly KeptShape[],
    keep: KeepWeights | undefined,
  ) {
    const { revision, dma, capacity } = description;
    const { folder, roomBytes = Number.POSITIVE_INFINITY, fs, say = () => {} } = keep ?? {};
    this.#index = new Map(tensors.map(({ name }, i) => [name, i]));
    const sizes = tensors.map(({ packedBytes }) => packedBytes);
    const recipes = tensors.map(({ recipe }) => recipe ?? '').join();
    const names = tensors.map(({ name }) => name).join();
    const layout = [PACKED_VERSION, revision, dma.lanes, dma.lengthBits, capacity.weightBlocks];
    this.#key = createHash('sha256')
      // The sizes too: of a matrix whose last rows the CPU computes, fewer tiles are kept. And what rows were made of, and of which
      // layers, since some of a model are as large as others.
      .update(JSON.stringify([keep?.model, layout, sizes, recipes, names]))
      .digest();
    if (keep !== undefined && folder !== undefined) {
      const path = `${folder}/${keep.model}-${Buffer.from(this.#key.subarray(0, 8)).toString('hex')}`;
      this.#file = PackedFile.open({ path, roomBytes, fs }, this.#key, sizes, say);
    }
    if (keep !== undefined && manifest?.take(this, tensors.length)) this.#manifest = manifest;
    const found = this.#manifest?.read(this.#key, tensors.length) ?? [];
    if (typeof found === 'string') say(`no weights of this model are in DMA memory: ${found}`);
    this.#found = typeof found === 'string' ? [] : found;
    this.#differs = typeof found === 'string';
    this.#resident = tensors.map(() => undefined);
  }

  /** Where a tensor's packed tiles are kept. */
  kept(name: string): KeptTensor | undefined {
    const index = this.#index.get(name);
    return this.#file === undefined || index === undefined ? undefined : { file: this.#file, index };
  }

  /** What an earlier process left in DMA memory of a tensor that takes so many bytes of it. */
  found(name: string, bytes: number): ImageEntry | undefined {
    const entry = this.#found[this.#index.get(name) ?? -1];
    return entry?.bytes === bytes ? entry : undefined;
  }

  /** DMA memory is about to be overwritten. */
  overwrites(): void {
    if (!this.#isEmptied) this.#manifest?.empty();
    this.#isEmptied = true;
    this.#differs = true;
  }

  /** A tensor lies in DMA memory now. */
  resides(name: string, entry: ImageEntry): void {
    const index = this.#index.get(name);
    if (index !== undefined) this.#resident[index] = entry;
  }

  /** All weights are there. */
  finish(): void {
    this.#file?.finish();
    if (this.#differs) this.#manifest?.write(this.#key, this.#resident);
    this.#differs = false;
    this.#isEmptied = false;
  }

  /** The model is unloaded, or could not be loaded: what was packed of it stays. */
  close(): void {
    this.#file?.finish();
    this.#file?.close();
    this.#manifest?.leave(this);
  }
}
