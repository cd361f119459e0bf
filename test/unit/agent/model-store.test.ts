import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createFsFromVolume, Volume } from 'memfs';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { ModelStore } from '../../../agent/store/model-store.js';
import { nodeFs, type StoreFs } from '../../../agent/store/store-fs.js';
import { CHUNK_BYTES, chunkCount, modelDigest, sha256 } from '../../../protocol/index.js';

const DIRECTORY = '/store';

/** A model of some chunks whose bytes differ from chunk to chunk. */
function sample(byteLength: number, seed = 1) {
  const bytes = new Uint8Array(byteLength);
  for (let i = 0; i < byteLength; i++) bytes[i] = (i * seed + (i >> 20)) & 0xff;
  const chunks = Array.from({ length: chunkCount(byteLength) }, (_, i) =>
    bytes.subarray(i * CHUNK_BYTES, (i + 1) * CHUNK_BYTES),
  );
  const chunkDigests = Buffer.concat(chunks.map((chunk) => sha256(chunk)));
  return { bytes, chunks, plan: { digest: modelDigest(byteLength, chunkDigests), byteLength, chunkDigests } };
}

const MODEL = sample(3 * CHUNK_BYTES + 1000);

interface Disk {
  readonly fs: StoreFs;
  readonly directory: string;
  read(path: string): Promise<Uint8Array>;
  write(path: string, bytes: Uint8Array): Promise<void>;
  list(path: string): Promise<string[]>;
}

/** A file system in memory, with as many free bytes as the test wants. */
function memoryDisk(freeBytes: () => number = () => 1e12): Disk {
  const { promises } = createFsFromVolume(new Volume());
  // memfs has every function of node:fs/promises that the store uses but statfs; its types are its own.
  const fs = { ...(promises as unknown as StoreFs) };
  const disk = {
    mkdir: fs.mkdir.bind(promises),
    open: fs.open.bind(promises),
    readdir: fs.readdir.bind(promises),
    readFile: fs.readFile.bind(promises),
    rename: fs.rename.bind(promises),
    stat: fs.stat.bind(promises),
    unlink: fs.unlink.bind(promises),
    statfs: async () => ({ bavail: Math.floor(freeBytes() / 4096), bsize: 4096 }),
  };
  return diskOf(disk, DIRECTORY);
}

function diskOf(fs: StoreFs, directory: string): Disk {
  return {
    fs,
    directory,
    async read(path) {
      const handle = await fs.open(`${directory}/${path}`, 'r');
      const bytes = await handle.readFile();
      await handle.close();
      return bytes;
    },
    async write(path, bytes) {
      const handle = await fs.open(`${directory}/${path}`, 'w');
      await handle.write(bytes, 0, bytes.length, 0);
      await handle.close();
    },
    list: (path) => fs.readdir(`${directory}/${path}`),
  };
}

let realDirectory: string;
beforeEach(() => {
  realDirectory = mkdtempSync(join(tmpdir(), 'pynq-llm-store-'));
});
afterEach(() => rmSync(realDirectory, { recursive: true }));

describe.each([
  ['in memory', () => memoryDisk()],
  ['on a real disk', () => diskOf(nodeFs, realDirectory)],
])('the model store %s', (_, makeDisk) => {
  let disk: Disk;
  let store: ModelStore;
  beforeEach(async () => {
    disk = makeDisk();
    store = await ModelStore.open(disk.directory, disk.fs);
  });
  afterEach(() => store.close());

  const send = async (model = MODEL, only = (_index: number) => true) => {
    const upload = await store.begin(model.plan);
    for (const [index, chunk] of model.chunks.entries())
      if (!upload.have[index] && only(index)) await upload.writeChunk(index, chunk);
    return upload;
  };

  it('publishes a complete upload under its digest and name', async () => {
    await store.publish(await send(), 'tiny.gguf');
    expect(await store.list()).toEqual([
      { digest: MODEL.plan.digest, names: ['tiny.gguf'], bytes: MODEL.bytes.length },
    ]);
    expect(Buffer.compare(await disk.read(`models/${MODEL.plan.digest}.gguf`), MODEL.bytes)).toBe(0);
    expect(await disk.list('partial')).toEqual([]);
  });

  it('shows nothing of an upload before it is published', async () => {
    await send();
    expect(await store.list()).toEqual([]);
  });

  it('goes on after a break at every chunk, also when the agent was started again', async () => {
    for (let broken = 0; broken < MODEL.chunks.length; broken++) {
      const upload = await send(MODEL, (index) => index === broken);
      expect([...upload.have].map((present, index) => present === (index <= broken ? 1 : 0))).not.toContain(
        false,
      );
      await store.release(MODEL.plan.digest);
      store = await ModelStore.open(disk.directory, disk.fs);
    }
    await store.publish(await send(), 'a');
    expect(Buffer.compare(await disk.read(`models/${MODEL.plan.digest}.gguf`), MODEL.bytes)).toBe(0);
  });

  it('takes chunks in any order', async () => {
    const upload = await store.begin(MODEL.plan);
    for (const index of [3, 1, 0, 2]) await upload.writeChunk(index, MODEL.chunks[index]);
    await store.publish(upload, 'a');
    expect(Buffer.compare(await disk.read(`models/${MODEL.plan.digest}.gguf`), MODEL.bytes)).toBe(0);
  });

  it('refuses a damaged chunk and keeps what was good', async () => {
    const upload = await store.begin(MODEL.plan);
    await upload.writeChunk(0, MODEL.chunks[0]);
    const damaged = MODEL.chunks[1].slice();
    damaged[12_345] ^= 1;
    await expect(upload.writeChunk(1, damaged)).rejects.toMatchObject({ code: 'AGENT_UPLOAD_MISMATCH' });
    expect([...upload.have]).toEqual([1, 0, 0, 0]);
  });

  it('refuses a chunk of another place', async () => {
    const upload = await store.begin(MODEL.plan);
    await expect(upload.writeChunk(1, MODEL.chunks[0])).rejects.toMatchObject({
      code: 'AGENT_UPLOAD_MISMATCH',
    });
    await expect(upload.writeChunk(4, MODEL.chunks[0])).rejects.toMatchObject({
      code: 'AGENT_UPLOAD_MISMATCH',
    });
  });

  it('asks again for a chunk that was damaged on the disk after a break', async () => {
    await send(MODEL, (index) => index < 2);
    await store.release(MODEL.plan.digest);
    const partial = (await disk.read(`partial/${MODEL.plan.digest}`)).slice();
    partial[CHUNK_BYTES + 5] ^= 0x80;
    await disk.write(`partial/${MODEL.plan.digest}`, partial);
    store = await ModelStore.open(disk.directory, disk.fs);
    expect([...(await store.begin(MODEL.plan)).have]).toEqual([1, 0, 0, 0]);
  });

  it('does not publish what is incomplete', async () => {
    const upload = await send(MODEL, (index) => index !== 2);
    await expect(store.publish(upload, 'a')).rejects.toMatchObject({
      code: 'AGENT_UPLOAD_INCOMPLETE',
      context: { missing: 1 },
    });
  });

  it('cuts off what a left-over partial file has too much', async () => {
    await disk.write(`partial/${MODEL.plan.digest}`, new Uint8Array(MODEL.bytes.length + 99));
    await store.publish(await send(), 'a');
    expect((await store.find(MODEL.plan.digest))?.bytes).toBe(MODEL.bytes.length);
  });

  it('lets two sessions send the same model at once', async () => {
    const [first, second] = await Promise.all([store.begin(MODEL.plan), store.begin(MODEL.plan)]);
    await first.writeChunk(0, MODEL.chunks[0]);
    await first.writeChunk(1, MODEL.chunks[1]);
    await second.writeChunk(2, MODEL.chunks[2]);
    await store.release(MODEL.plan.digest);
    await second.writeChunk(3, MODEL.chunks[3]);
    await store.publish(second, 'a');
    await store.publish(first, 'b');
    expect((await store.find(MODEL.plan.digest))?.names.toSorted()).toEqual(['a', 'b']);
  });

  it('refuses chunk digests that do not make the digest', async () => {
    const plan = { ...MODEL.plan, digest: sample(10).plan.digest };
    await expect(store.begin(plan)).rejects.toMatchObject({ code: 'AGENT_UPLOAD_MISMATCH' });
    expect(await disk.list('partial')).toEqual([]);
  });

  it('moves a name to the model that was given it last', async () => {
    const other = sample(500, 3);
    await store.publish(await send(), 'a');
    await store.publish(await send(other), 'a');
    const names = Object.fromEntries((await store.list()).map((entry) => [entry.digest, entry.names]));
    expect(names).toEqual({ [MODEL.plan.digest]: [], [other.plan.digest]: ['a'] });
  });

  it('deletes a model with its names', async () => {
    await store.publish(await send(), 'a');
    await store.delete(MODEL.plan.digest);
    expect(await store.list()).toEqual([]);
    await store.publish(await send(sample(500)), 'b');
    expect((await store.list()).map((entry) => entry.names)).toEqual([['b']]);
  });

  it('keeps names that are given at the same time', async () => {
    await store.publish(await send(), 'a');
    await Promise.all(['b', 'c', 'd'].map((name) => store.name(MODEL.plan.digest, name)));
    expect((await store.find(MODEL.plan.digest))?.names.toSorted()).toEqual(['a', 'b', 'c', 'd']);
  });

  it('says so when its index of names is damaged', async () => {
    await disk.write('names.json', new TextEncoder().encode('{"version":1,"names":'));
    await expect(ModelStore.open(disk.directory, disk.fs)).rejects.toMatchObject({
      code: 'AGENT_STORE_FAILED',
    });
  });
});

describe('the model store on a disk that fills up', () => {
  it('refuses an upload that does not fit beside the reserve, before anything is sent', async () => {
    const disk = memoryDisk(() => 64 * 1024 * 1024 + 3 * CHUNK_BYTES);
    const store = await ModelStore.open(disk.directory, disk.fs);
    await expect(store.begin(MODEL.plan)).rejects.toMatchObject({ code: 'AGENT_STORE_FULL' });
  });

  it('takes the rest of an upload whose first part is there already', async () => {
    let free = 1e12;
    const disk = memoryDisk(() => free);
    let store = await ModelStore.open(disk.directory, disk.fs);
    const upload = await store.begin(MODEL.plan);
    await upload.writeChunk(0, MODEL.chunks[0]);
    await store.release(MODEL.plan.digest);
    free = 64 * 1024 * 1024 + 3 * CHUNK_BYTES;
    store = await ModelStore.open(disk.directory, disk.fs);
    expect((await store.begin(MODEL.plan)).missingBytes).toBe(2 * CHUNK_BYTES + 1000);
  });

  it('says so when the disk is full nevertheless, and keeps what came', async () => {
    const disk = memoryDisk();
    const fs: StoreFs = {
      ...disk.fs,
      open: async (...args: Parameters<StoreFs['open']>) => {
        const handle = await disk.fs.open(...args);
        if (!String(args[0]).includes('partial')) return handle;
        const write = handle.write.bind(handle);
        let writes = 0;
        handle.write = ((...rest: Parameters<typeof write>) => {
          if (++writes > 2)
            throw Object.assign(new Error('ENOSPC: no space left on device'), { code: 'ENOSPC' });
          return write(...rest);
        }) as typeof handle.write;
        return handle;
      },
    };
    const store = await ModelStore.open(disk.directory, fs);
    const upload = await store.begin(MODEL.plan);
    await upload.writeChunk(0, MODEL.chunks[0]);
    await upload.writeChunk(1, MODEL.chunks[1]);
    await expect(upload.writeChunk(2, MODEL.chunks[2])).rejects.toMatchObject({ code: 'AGENT_STORE_FULL' });
    await store.release(MODEL.plan.digest);
    const again = await ModelStore.open(disk.directory, disk.fs);
    expect([...(await again.begin(MODEL.plan)).have]).toEqual([1, 1, 0, 0]);
  });

  it('removes partial uploads that nobody continued for a week', async () => {
    const disk = memoryDisk();
    const store = await ModelStore.open(disk.directory, disk.fs);
    await store.begin(MODEL.plan);
    await store.release(MODEL.plan.digest);
    const old: StoreFs = {
      ...disk.fs,
      stat: async (path) => ({ size: 0, mtimeMs: Date.now() - 8 * 24 * 3600 * 1000, path }),
    };
    await ModelStore.open(disk.directory, old);
    expect(await disk.list('partial')).toEqual([]);
  });
});
