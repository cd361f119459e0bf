import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { createFsFromVolume, Volume } from 'memfs';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { SessionUploads } from '../../../agent/session/session-uploads.js';
import { UploadBodies } from '../../../agent/session/upload-bodies.js';
import { ModelStore } from '../../../agent/store/model-store.js';
import { nodeFs, type StoreFs } from '../../../agent/store/store-fs.js';
import { silentLog } from '../../../listen/index.js';
import {
  CHUNK_BYTES,
  chunkCount,
  encodeFrame,
  MAX_LIST_BYTES,
  MAX_MODELS,
  MAX_NAMES,
  MAX_NAMES_PER_MODEL,
  modelDigest,
  sha256,
} from '../../../protocol/index.js';

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

/** The uploads of a session, and what sends all of a model's bytes to one of them. */
function sessionUploads(store: ModelStore) {
  const bodies = new UploadBodies();
  const put = (id: string, { bytes }: ReturnType<typeof sample>) => {
    const range = { offset: 0, byteLength: bytes.length, modelBytes: bytes.length };
    return bodies.receive(id, range, { role: 'infer', share: [] }, () => Readable.from([bytes]));
  };
  return { uploads: new SessionUploads(store, bodies, () => undefined), put };
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
    // Its blocks are not of 512 bytes.
    stat: async (path: string) => {
      const { size, mtimeMs } = await fs.stat.call(promises, path);
      return { size, mtimeMs };
    },
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
    const { uploads, put } = sessionUploads(store);
    const begun = await uploads.begin(announce(MODEL));
    if (!('upload' in begun)) throw new Error('the store has the model already');
    await put(begun.upload, MODEL);
    const both = [uploads.commit({ upload: begun.upload }), uploads.commit({ upload: begun.upload })];
    expect((await Promise.all(both)).map(({ names }) => names)).toEqual([['a'], ['a']]);
  });

  it('finishes a commit during which its session ends', async () => {
    const { uploads, put } = sessionUploads(store);
    const begun = await uploads.begin(announce(MODEL));
    if (!('upload' in begun)) throw new Error('the store has the model already');
    await put(begun.upload, MODEL);
    const commit = uploads.commit({ upload: begun.upload });
    await uploads.close();
    expect((await commit).digest).toBe(MODEL.plan.digest);
  });

  it('lets a session have four uploads open, also when it begins them all at once', async () => {
    const { uploads } = sessionUploads(store);
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

/** Models of one byte, by seed. */
function byteModel(seed: number) {
  return sample(seed + 1, 7);
}

async function put(store: ModelStore, model: ReturnType<typeof sample>, name: string): Promise<void> {
  const upload = await store.begin(model.plan);
  for (const [index, chunk] of model.chunks.entries()) await upload.writeChunk(index, chunk);
  await store.publish(upload, name);
  await store.release(upload);
}

/** Some model's. */
function digestOf(i: number): string {
  return Buffer.from(sha256(Buffer.from(`${i}`))).toString('hex');
}

/** Every page of the list. */
async function pagesOf(store: ModelStore, limit?: number) {
  const pages = [];
  let after: string | undefined;
  do {
    const { models, next } = await store.list({ after, limit });
    pages.push(models);
    after = next;
  } while (after !== undefined);
  return pages;
}

describe('names of models', () => {
  let disk: Disk;
  let store: ModelStore;
  const { digest } = byteModel(0).plan;
  beforeEach(async () => {
    disk = memoryDisk();
    store = await ModelStore.open(disk.directory, disk.fs);
    await put(store, byteModel(0), 'first');
  });
  const writeNames = (names: readonly (readonly [string, string])[]) =>
    disk.write('names.json', Buffer.from(JSON.stringify({ version: 1, names: Object.fromEntries(names) })));

  it.each(['__proto__', 'constructor', 'prototype', 'toString', '7'])(
    'may be %s, also after a restart',
    async (name) => {
      await store.name(digest, name);
      store = await ModelStore.open(disk.directory, disk.fs);
      expect((await store.find(digest))?.names).toContain(name);
      expect((await store.search(name)).map((one) => one.digest)).toEqual([digest]);
      await store.delete(digest);
      expect(await store.search(name)).toEqual([]);
    },
  );

  it('are the latest of a model: one more than it may have takes the place of the oldest', async () => {
    for (let i = 0; i < 20; i++) await store.name(digest, `name ${i}`);
    const latest = Array.from(
      { length: MAX_NAMES_PER_MODEL },
      (_, i) => `name ${20 - MAX_NAMES_PER_MODEL + i}`,
    );
    expect((await store.find(digest))?.names).toEqual(latest);
  });

  it('are as many as of all models there may be; those of models that are gone make way', async () => {
    const gone = Array.from({ length: MAX_NAMES }, (_, i) => [`gone ${i}`, digestOf(i)]);
    await writeNames(gone as [string, string][]);
    await store.name(digest, 'new');
    const text = Buffer.from(await disk.read('names.json')).toString();
    expect(JSON.parse(text)).toEqual({ version: 1, names: { new: digest } });
  });

  it('of an index with far too many leave the store open, listed in pages, and what was left out is logged', async () => {
    const names = Array.from({ length: 14_600 }, (_, i) => [`${i} ${'x'.repeat(180)}`, digest] as const);
    await writeNames([...names, ['long '.repeat(1_000), digest]]);
    const lines: object[] = [];
    const log = { ...silentLog, warn: (facts: object) => void lines.push(facts) };
    store = await ModelStore.open(disk.directory, disk.fs, log);
    expect(lines).toEqual([{ surplus: 14_601 - MAX_NAMES_PER_MODEL }]);
    const { models, next } = await store.list();
    expect([models.length, models[0].names.length, next]).toEqual([1, MAX_NAMES_PER_MODEL, undefined]);
    await store.name(digest, 'new');
    expect((await store.find(digest))?.names.at(-1)).toBe('new');
    expect((await disk.read('names.json')).length).toBeLessThan(10_000);
  });

  it('find their model; the first digits of a digest do, too', async () => {
    await put(store, byteModel(1), 'second');
    const second = byteModel(1).plan.digest;
    const found = async (text: string) => (await store.search(text)).map((one) => one.digest);
    expect(await found('second')).toEqual([second]);
    expect(await found(second)).toEqual([second]);
    expect(await found(second.slice(0, 12))).toEqual([second]);
    expect(await found('../../etc/passwd')).toEqual([]);
    expect(await found('f'.repeat(64))).toEqual([]);
  });
});

describe('a list of models', () => {
  it('comes in pages that together have every model once', async () => {
    const disk = memoryDisk();
    const store = await ModelStore.open(disk.directory, disk.fs);
    for (let i = 0; i < 10; i++) await put(store, byteModel(i), `model ${i}`);
    const pages = await pagesOf(store, 4);
    expect(pages.map((page) => page.length)).toEqual([4, 4, 2]);
    expect(pages.flat()).toEqual((await store.list()).models);
  });

  it('ends a page before its frame becomes too large', async () => {
    const disk = memoryDisk();
    const store = await ModelStore.open(disk.directory, disk.fs);
    const digests = Array.from({ length: 512 }, (_, i) => digestOf(i));
    for (const digest of digests) await disk.write(`models/${digest}.gguf`, new Uint8Array(1));
    const names = digests.flatMap((digest, i) =>
      Array.from({ length: 8 }, (_, j) => [`${i} ${j} ${'東'.repeat(190)}`, digest]),
    );
    await disk.write(
      'names.json',
      Buffer.from(JSON.stringify({ version: 1, names: Object.fromEntries(names) })),
    );
    const pages = await pagesOf(store);
    expect(pages.length).toBeGreaterThan(1);
    for (const page of pages) expect(encodeFrame({ models: page }).length).toBeLessThan(2 * MAX_LIST_BYTES);
    expect(pages.flat().flatMap((model) => model.names)).toHaveLength(names.length);
  });

  it('has no more models than the store takes', async () => {
    const disk = memoryDisk();
    const store = await ModelStore.open(disk.directory, disk.fs);
    for (let i = 0; i < MAX_MODELS; i++) await disk.write(`models/${digestOf(i)}.gguf`, new Uint8Array(1));
    await expect(store.begin(MODEL.plan)).rejects.toMatchObject({ code: 'AGENT_STORE_QUOTA' });
    expect(await disk.list('partial')).toEqual([]);
  });
});

describe('pieces of uploads', () => {
  const RESERVE = 64 * 1024 * 1024;
  /** A disk of so many bytes, of which partial uploads take what they have. */
  function filledDisk(bytes: number): Disk {
    const disk: Disk = memoryDisk();
    const statfs = async () => {
      let used = 0;
      for (const name of await disk.list('partial'))
        used += (await disk.fs.stat(`${DIRECTORY}/partial/${name}`)).size;
      return { bavail: RESERVE + bytes - used, bsize: 1 };
    };
    return { ...disk, fs: { ...disk.fs, statfs } };
  }
  const begun = async (store: ModelStore, seed: number) => {
    const model = sample(2 * CHUNK_BYTES, seed);
    const upload = await store.begin(model.plan);
    await upload.writeChunk(0, model.chunks[0]);
    return { upload, digest: model.plan.digest };
  };

  it('do not promise the same room to uploads that begin together', async () => {
    const disk = filledDisk(5 * CHUNK_BYTES);
    const store = await ModelStore.open(disk.directory, disk.fs);
    const models = [3, 5, 7, 9].map((seed) => sample(2 * CHUNK_BYTES, seed));
    const results = await Promise.allSettled(models.map(({ plan }) => store.begin(plan)));
    expect(results.map(({ status }) => status)).toEqual(['fulfilled', 'fulfilled', 'rejected', 'rejected']);
    expect(results[2]).toMatchObject({ reason: { code: 'AGENT_STORE_FULL' } });
  });

  it('make way for an upload, the oldest first, never one in use', async () => {
    const disk = filledDisk(5 * CHUNK_BYTES);
    const store = await ModelStore.open(disk.directory, disk.fs);
    const kept = [];
    for (const seed of [3, 5, 7]) {
      const one = await begun(store, seed);
      kept.push(one.digest);
      if (seed !== 3) await store.release(one.upload);
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    // Three chunks are there and one is promised: of two more one has room.
    await store.begin(sample(2 * CHUNK_BYTES, 9).plan);
    expect((await disk.list('partial')).toSorted()).toEqual(
      [kept[0], kept[2], sample(2 * CHUNK_BYTES, 9).plan.digest].toSorted(),
    );
  });

  it('stay where the upload would not fit without them either', async () => {
    const disk = filledDisk(5 * CHUNK_BYTES);
    const store = await ModelStore.open(disk.directory, disk.fs);
    const { upload, digest } = await begun(store, 3);
    await store.release(upload);
    await expect(store.begin(sample(9 * CHUNK_BYTES, 5).plan)).rejects.toMatchObject({
      code: 'AGENT_STORE_FULL',
    });
    expect(await disk.list('partial')).toEqual([digest]);
  });

  it('are of a bounded number, of which the latest stay', async () => {
    const disk = memoryDisk();
    const store = await ModelStore.open(disk.directory, disk.fs);
    const digests = [];
    for (let seed = 1; seed < 40; seed += 2) {
      const { upload, digest } = await begun(store, seed);
      await store.release(upload);
      digests.push(digest);
      await new Promise((resolve) => setTimeout(resolve, 2));
    }
    expect((await disk.list('partial')).toSorted()).toEqual(digests.slice(-8).toSorted());
  });

  it('without a byte are not kept', async () => {
    const disk = memoryDisk();
    const store = await ModelStore.open(disk.directory, disk.fs);
    await store.release(await store.begin(MODEL.plan));
    expect(await disk.list('partial')).toEqual([]);
  });

  it('that another process has just begun on the same store stay, though they have no byte yet', async () => {
    const disk = memoryDisk();
    const store = await ModelStore.open(disk.directory, disk.fs);
    await store.begin(MODEL.plan);
    const other = await ModelStore.open(disk.directory, disk.fs);
    await other.release(await other.begin(byteModel(1).plan));
    expect(await disk.list('partial')).toEqual([MODEL.plan.digest]);
  });

  it('are under way for sixteen models at a time', async () => {
    const disk = memoryDisk();
    const store = await ModelStore.open(disk.directory, disk.fs);
    const plans = Array.from({ length: 17 }, (_, i) => byteModel(i).plan);
    const uploads = await Promise.all(plans.slice(0, 16).map((plan) => store.begin(plan)));
    await expect(store.begin(plans[16])).rejects.toMatchObject({ code: 'AGENT_STORE_QUOTA' });
    await store.release(uploads[3]);
    await store.begin(plans[16]);
  });
});

describe('temporary files of the index of names', () => {
  it('do not stay after a write that failed', async () => {
    const disk = failingDisk('sync', 'names.json', 'ENOSPC');
    const store = await ModelStore.open(disk.directory, disk.fs);
    await expect(store.name('a'.repeat(64), 'a')).rejects.toMatchObject({ code: 'AGENT_STORE_FULL' });
    expect(await disk.list('')).not.toContainEqual(expect.stringContaining('.tmp'));
  });

  it('of agents that were killed go when the store is opened, those of others stay', async () => {
    const disk = memoryDisk();
    await ModelStore.open(disk.directory, disk.fs);
    const { pid } = spawnSync(process.execPath, ['--version']);
    await disk.write(`names.json.${pid}.tmp`, new Uint8Array(1));
    await disk.write(`names.json.${process.pid}.tmp`, new Uint8Array(1));
    await disk.write('notes.txt', new Uint8Array(1));
    await ModelStore.open(disk.directory, disk.fs);
    const left = (await disk.list('')).filter((name) => name.includes('.'));
    expect(left.toSorted()).toEqual([`names.json.${process.pid}.tmp`, 'notes.txt']);
  });
});
