import { mkdirSync, mkdtempSync, readdirSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { ModelStore } from '../../../agent/store/model-store.js';
import { nodeFs } from '../../../agent/store/store-fs.js';
import { CHUNK_BYTES, modelDigest, sha256 } from '../../../protocol/index.js';

const [A, B] = ['a'.repeat(64), 'b'.repeat(64)];
const RESERVE = 64 * 1024 * 1024;
const BLOCK = 4096;

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'pynq-llm-packed-'));
  for (const folder of ['models', 'packed', 'parts']) mkdirSync(join(directory, folder));
});
afterEach(() => rmSync(directory, { recursive: true }));

/** A file of a model's packed weights, so many seconds old. */
function packed(name: string, seconds: number, bytes = 10 * BLOCK): void {
  const path = join(directory, 'packed', name);
  writeFileSync(path, new Uint8Array(bytes));
  const at = Date.now() / 1000 - seconds;
  utimesSync(path, at, at);
}

function model(digest: string): void {
  writeFileSync(join(directory, 'models', `${digest}.gguf`), 'a model');
}

function part(digest: string): void {
  writeFileSync(join(directory, 'parts', digest), 'some layers');
}

function names(): string[] {
  return readdirSync(join(directory, 'packed')).toSorted();
}

/** The store on a disk with so many bytes left beside the reserve and the packed weights that are there. */
function openStore(left = () => 1e12) {
  const statfs = async () => ({ bavail: (RESERVE + left()) / BLOCK, bsize: BLOCK });
  return ModelStore.open(directory, { ...nodeFs, statfs });
}

describe('packed weights in the store', () => {
  it('go with their model, and no others', async () => {
    model(A);
    model(B);
    packed(`${A}-1`, 1);
    packed(`${A}-2`, 2);
    packed(`${B}-1`, 3);
    const store = await openStore();
    await store.delete(A);
    expect(names()).toEqual([`${B}-1`]);
  });

  it('of models that are gone are tidied up, and the longest unchanged of too many', async () => {
    model(A);
    for (let i = 0; i < 11; i++) packed(`${A}-${String(i).padStart(2, '0')}`, 100 - i);
    packed(`${B}-1`, 0);
    packed('something else', 0);
    await openStore();
    expect(names()).toEqual(['03', '04', '05', '06', '07', '08', '09', '10'].map((i) => `${A}-${i}`));
  });

  it('may take what is free beside the reserve and what uploads under way still need', async () => {
    const store = await openStore(() => 2 * CHUNK_BYTES);
    expect((await store.packedPlace()).roomBytes).toBe(2 * CHUNK_BYTES);
    const bytes = new Uint8Array(CHUNK_BYTES);
    const chunkDigests = sha256(bytes);
    const plan = { digest: modelDigest(bytes.length, chunkDigests), byteLength: bytes.length, chunkDigests };
    const upload = await store.begin(plan);
    expect(await store.packedPlace()).toEqual({ folder: `${directory}/packed`, roomBytes: CHUNK_BYTES });
    await upload.writeChunk(0, bytes);
    expect((await store.packedPlace()).roomBytes).toBe(2 * CHUNK_BYTES);
    await store.close();
  });

  it('make way for uploads, the longest unchanged first, and count as free for them', async () => {
    model(A);
    packed(`${A}-old`, 9, CHUNK_BYTES);
    packed(`${A}-new`, 1, CHUNK_BYTES);
    const store = await openStore(() => (2 - names().length) * CHUNK_BYTES);
    expect(await store.freeBytes()).toBe(2 * CHUNK_BYTES);
    const bytes = new Uint8Array(CHUNK_BYTES);
    const chunkDigests = sha256(bytes);
    const plan = { digest: modelDigest(bytes.length, chunkDigests), byteLength: bytes.length, chunkDigests };
    await store.release(await store.begin(plan));
    expect(names()).toEqual([`${A}-new`]);
  });

  it('of layers that a board has of a model are kept, and pruned, as those of whole models', async () => {
    part(A);
    for (let i = 0; i < 11; i++) packed(`${A}-${String(i).padStart(2, '0')}`, 100 - i);
    packed(`${B}-1`, 0);
    const store = await openStore();
    const kept = ['03', '04', '05', '06', '07', '08', '09', '10'].map((i) => `${A}-${i}`);
    expect(names()).toEqual(kept);
    await store.packedPlace();
    expect(names()).toEqual(kept);
    await store.delete(A);
    expect(names()).toEqual([]);
    expect(readdirSync(join(directory, 'parts'))).toEqual([]);
  });

  it('stay where the whole model comes, and its layers go', async () => {
    part(A);
    part(B);
    model(A);
    packed(`${A}-1`, 1);
    await openStore();
    expect(names()).toEqual([`${A}-1`]);
    expect(readdirSync(join(directory, 'parts'))).toEqual([B]);
  });

  it('make way for layers of a model, the longest unchanged first, and only where that is enough', async () => {
    model(B);
    packed(`${B}-old`, 9, CHUNK_BYTES);
    packed(`${B}-new`, 1, CHUNK_BYTES);
    const store = await openStore(() => (2 - names().length) * CHUNK_BYTES);
    const plan = (chunks: number) => {
      const bytes = new Uint8Array(chunks * CHUNK_BYTES);
      const chunkDigests = Buffer.concat(Array(chunks).fill(sha256(bytes.subarray(0, CHUNK_BYTES))));
      const digest = modelDigest(bytes.length, chunkDigests);
      const wanted = new Uint8Array(chunks).fill(1);
      async function* read(offset: number, byteLength: number) {
        yield bytes.subarray(offset, offset + byteLength);
      }
      return { digest, byteLength: bytes.length, chunkDigests, wanted, read };
    };
    await expect(store.parts.fetch(plan(3), () => {})).rejects.toMatchObject({ code: 'AGENT_STORE_FULL' });
    expect(names()).toEqual([`${B}-new`, `${B}-old`]);
    await store.parts.fetch(plan(1), () => {});
    expect(names()).toEqual([`${B}-new`]);
  });
});
