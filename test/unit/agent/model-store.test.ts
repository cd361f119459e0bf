import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createFsFromVolume, Volume } from 'memfs';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { SessionUploads } from '../../../agent/session-uploads.js';
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

/** What a client says at the beginning of an upload. */
function announce({ bytes, plan }: ReturnType<typeof sample>, name = 'a') {
  return { name, digest: plan.digest, bytes: bytes.length, chunkDigests: plan.chunkDigests };
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
    expect((await store.list()).models).toEqual([
      { digest: MODEL.plan.digest, names: ['tiny.gguf'], bytes: MODEL.bytes.length },
    ]);
    expect(Buffer.compare(await disk.read(`models/${MODEL.plan.digest}.gguf`), MODEL.bytes)).toBe(0);
    expect(await disk.list('partial')).toEqual([]);
  });

  it('shows nothing of an upload before it is published', async () => {
    await send();
    expect((await store.list()).models).toEqual([]);
  });

  it('goes on after a break at every chunk, also when the agent was started again', async () => {
    for (let broken = 0; broken < MODEL.chunks.length; broken++) {
      const upload = await send(MODEL, (index) => index === broken);
      expect([...upload.have].map((present, index) => present === (index <= broken ? 1 : 0))).not.toContain(
        false,
      );
      await store.release(upload);
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
    await store.release(await send(MODEL, (index) => index < 2));
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
    await store.release(first);
    await second.writeChunk(3, MODEL.chunks[3]);
    await store.publish(second, 'a');
    await store.publish(first, 'b');
    expect((await store.find(MODEL.plan.digest))?.names.toSorted()).toEqual(['a', 'b']);
  });

  it('takes a model anew that was published and deleted while another session still had its upload open', async () => {
    const first = await send();
    const second = await store.begin(MODEL.plan);
    await store.publish(first, 'a');
    await store.delete(MODEL.plan.digest);
    const third = await send();
    await store.release(first);
    await store.release(second);
    await store.publish(third, 'c');
    expect(Buffer.compare(await disk.read(`models/${MODEL.plan.digest}.gguf`), MODEL.bytes)).toBe(0);
    await store.release(third);
  });

  it('tells a session whose model another one published and deleted before its commit', async () => {
    const first = await send();
    const second = await store.begin(MODEL.plan);
    await store.publish(first, 'a');
    await store.delete(MODEL.plan.digest);
    await expect(store.publish(second, 'b')).rejects.toMatchObject({ code: 'AGENT_MODEL_UNKNOWN' });
    expect((await store.list()).models).toEqual([]);
  });

  it('publishes an upload once when it is committed twice at the same time', async () => {
    const uploads = new SessionUploads(store);
    const begun = await uploads.begin(announce(MODEL));
    if (!('upload' in begun)) throw new Error('the store has the model already');
    for (const [index, data] of MODEL.chunks.entries())
      await uploads.writeChunk({ upload: begun.upload, index, data });
    const both = [uploads.commit({ upload: begun.upload }), uploads.commit({ upload: begun.upload })];
    expect((await Promise.all(both)).map(({ names }) => names)).toEqual([['a'], ['a']]);
  });

  it('finishes a commit during which its session ends', async () => {
    const uploads = new SessionUploads(store);
    const begun = await uploads.begin(announce(MODEL));
    if (!('upload' in begun)) throw new Error('the store has the model already');
    for (const [index, data] of MODEL.chunks.entries())
      await uploads.writeChunk({ upload: begun.upload, index, data });
    const commit = uploads.commit({ upload: begun.upload });
    await uploads.close();
    expect((await commit).digest).toBe(MODEL.plan.digest);
  });

  it('lets a session have four uploads open, also when it begins them all at once', async () => {
    const uploads = new SessionUploads(store);
    const begun = await Promise.allSettled(
      [1, 3, 5, 7, 9, 11].map((seed) => uploads.begin(announce(sample(100, seed)))),
    );
    expect(begun.filter(({ status }) => status === 'fulfilled')).toHaveLength(4);
    await uploads.close();
    await uploads.begin(announce(sample(100, 13)));
    await uploads.close();
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
    const names = Object.fromEntries((await store.list()).models.map((entry) => [entry.digest, entry.names]));
    expect(names).toEqual({ [MODEL.plan.digest]: [], [other.plan.digest]: ['a'] });
  });

  it('deletes a model with its names', async () => {
    await store.publish(await send(), 'a');
    await store.delete(MODEL.plan.digest);
    expect((await store.list()).models).toEqual([]);
    await store.publish(await send(sample(500)), 'b');
    expect((await store.list()).models.map((entry) => entry.names)).toEqual([['b']]);
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

/** A disk on which an operation of some files' handles fails with an error of the operating system. */
function failingDisk(
  operation: 'sync' | 'datasync' | 'write' | 'truncate',
  file: string,
  code: string,
): Disk {
  const disk = memoryDisk();
  const open = async (...args: Parameters<StoreFs['open']>) => {
    const handle = await disk.fs.open(...args);
    if (String(args[0]).includes(file))
      handle[operation] = async () => {
        throw Object.assign(new Error(`${code}: ${operation} failed`), { code });
      };
    return handle;
  };
  return { ...disk, fs: { ...disk.fs, open } };
}

describe('the model store on a disk that fails', () => {
  it.each([
    ['sync', 'partial', 'ENOSPC', 'AGENT_STORE_FULL'],
    ['sync', 'partial', 'EDQUOT', 'AGENT_STORE_FULL'],
    ['sync', 'partial', 'EIO', 'AGENT_STORE_FAILED'],
    ['truncate', 'partial', 'EIO', 'AGENT_STORE_FAILED'],
    ['sync', 'models', 'EIO', 'AGENT_STORE_FAILED'],
    ['sync', 'names.json', 'ENOSPC', 'AGENT_STORE_FULL'],
  ] as const)('ends a commit whose %s of %s fails with %s in %s', async (operation, file, code, expected) => {
    const disk = failingDisk(operation, file, code);
    const store = await ModelStore.open(disk.directory, disk.fs);
    const upload = await store.begin(MODEL.plan);
    for (const [index, chunk] of MODEL.chunks.entries()) await upload.writeChunk(index, chunk);
    await expect(store.publish(upload, 'a')).rejects.toMatchObject({
      code: expected,
      message: expect.stringContaining(`${code}: ${operation} failed`),
    });
  });

  it('ends a chunk that cannot be written in AGENT_STORE_FAILED, and takes it again', async () => {
    const disk = failingDisk('write', 'partial', 'EIO');
    const store = await ModelStore.open(disk.directory, disk.fs);
    const upload = await store.begin(MODEL.plan);
    await expect(upload.writeChunk(0, MODEL.chunks[0])).rejects.toMatchObject({ code: 'AGENT_STORE_FAILED' });
    expect([...upload.have]).toEqual([0, 0, 0, 0]);
  });

  it('remembers that bringing an upload to the disk failed half-way', async () => {
    const disk = failingDisk('datasync', 'partial', 'ENOSPC');
    const store = await ModelStore.open(disk.directory, disk.fs);
    const large = sample(17 * CHUNK_BYTES);
    const upload = await store.begin(large.plan);
    for (const [index, chunk] of large.chunks.entries()) await upload.writeChunk(index, chunk);
    await expect(store.publish(upload, 'a')).rejects.toMatchObject({ code: 'AGENT_STORE_FULL' });
  });

  it('does not hide a fault of the program behind the disk', async () => {
    const disk = memoryDisk();
    const store = await ModelStore.open(disk.directory, {
      ...disk.fs,
      statfs: async () => {
        throw new TypeError('a fault of the program');
      },
    });
    await expect(store.begin(MODEL.plan)).rejects.toBeInstanceOf(TypeError);
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
    await store.release(upload);
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
    await store.release(upload);
    const again = await ModelStore.open(disk.directory, disk.fs);
    expect([...(await again.begin(MODEL.plan)).have]).toEqual([1, 1, 0, 0]);
  });

  it('removes partial uploads that nobody continued for a week', async () => {
    const disk = memoryDisk();
    const store = await ModelStore.open(disk.directory, disk.fs);
    const upload = await store.begin(MODEL.plan);
    await upload.writeChunk(0, MODEL.chunks[0]);
    await store.release(upload);
    expect(await disk.list('partial')).toEqual([MODEL.plan.digest]);
    const old: StoreFs = {
      ...disk.fs,
      stat: async () => ({ size: CHUNK_BYTES, mtimeMs: Date.now() - 8 * 24 * 3600 * 1000 }),
    };
    await ModelStore.open(disk.directory, old);
    expect(await disk.list('partial')).toEqual([]);
  });
});
