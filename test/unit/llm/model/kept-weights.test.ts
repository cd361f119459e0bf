import { createFsFromVolume, Volume } from 'memfs';
import { beforeEach, describe, expect, it } from 'vitest';
import { type BoardDescription, loadBoardDescription } from '../../../../board/index.js';
import { Accelerator, type KeepWeights } from '../../../../driver/index.js';
import type { PackedFs } from '../../../../driver/packed/packed-file.js';
import { workingSizes } from '../../../../driver/working-memory.js';
import { bytesSource, GgmlType, GgufFile, openGguf } from '../../../../gguf/index.js';
import { loadModel } from '../../../../llm/model/load-model.js';
import { openMockBoard } from '../../../../mock-device/index.js';
import { testMemory } from '../../mock-device/external-memory.js';
import { logitsOf, syntheticGguf } from '../models.js';
import { expectSameBitsOfAll } from '../same-bits.js';

const MODEL = 'a'.repeat(64);
const TOKENS = [1, 2, 3];
const Z1 = loadBoardDescription('pynq-z1');
/** Room for some of the tensors: the others are staged. */
const SMALL = withMemory(workingSizes(Z1).total + 400_000);

const gguf = syntheticGguf((name) => (name.includes('ffn') ? GgmlType.Q2_K : GgmlType.Q5_K));
const expected = logitsOf(loadModel(gguf), TOKENS);

function withMemory(size: number, of = Z1): BoardDescription {
  return { ...of, dmaMemory: [{ base: of.dmaMemory[0].base, size: Math.ceil(size) }] };
}

let volume: Volume;
let notes: string[];
beforeEach(() => {
  volume = Volume.fromJSON({ '/packed/other': '' });
  volume.unlinkSync('/packed/other');
  notes = [];
});

function keepIn(change: Partial<PackedFs> = {}, model = MODEL): KeepWeights {
  const fs = { ...(createFsFromVolume(volume) as unknown as PackedFs), ...change };
  return { model, folder: '/packed', fs, say: (note) => notes.push(note) };
}

/** Opens a board anew, with the memory of the one before, as a process finds reserved memory. */
function lastingBoard(description = Z1) {
  const memory = testMemory(description.dmaMemory);
  return () => openMockBoard(description, { memory });
}

/** Loads the model on a board that is opened for it, computes with it, and gives everything back. */
function use({
  description = Z1,
  open = () => openMockBoard(description),
  keep = keepIn(),
  file = gguf,
} = {}) {
  const board = open();
  const accelerator = new Accelerator(board);
  try {
    const model = loadModel(file, { accelerator, keep });
    const logits = logitsOf(model, TOKENS);
    const { weights, placement } = model;
    model.close();
    return { logits, weights: { ...weights }, placement };
  } finally {
    accelerator.close();
    board.close();
  }
}

/** The model's file, and how many bytes are read of it beyond a row of the embedding at a time. */
function counted(): { file: GgufFile; read: { bytes: number } } {
  const read = { bytes: 0 };
  const embedding = gguf.tensors.get('token_embd.weight')!.rowBytes;
  const source = {
    size: gguf.source.size,
    readInto: (offset: number, into: Uint8Array) => {
      if (into.length > Math.max(embedding, 4 * 512)) read.bytes += into.length;
      gguf.source.readInto(offset, into);
    },
  };
  return { file: new GgufFile(source, gguf.version, gguf.metadata, gguf.tensors), read };
}

function packedFiles(): string[] {
  return (volume.readdirSync('/packed') as string[]).map((name) => `/packed/${name}`);
}

function flip(path: string, at: number): void {
  const bytes = volume.readFileSync(path) as Buffer;
  bytes[at] ^= 1;
  volume.writeFileSync(path, bytes);
}

describe('weights that were packed before', () => {
  it.each([
    ['resident', Z1],
    ['partly staged', SMALL],
    ['resident on one lane', loadBoardDescription('pynq-z1-v1')],
  ])('are read and not packed, with the same bits: %s', (_, description) => {
    const fresh = use({ description });
    expectSameBitsOfAll(fresh.logits, expected);
    expect(fresh.weights).toMatchObject({ read: 0, found: 0 });
    expect(fresh.weights.packed).toBeGreaterThan(200_000);
    const { file, read } = counted();
    const again = use({ description, file });
    expectSameBitsOfAll(again.logits, expected);
    expect(again.weights).toEqual({ packed: 0, read: fresh.weights.packed, found: 0 });
    const onCpu = again.placement.tensors.filter(({ placement }) => placement === 'cpu');
    expect(read.bytes).toBe(onCpu.reduce((sum, { name }) => sum + gguf.tensors.get(name)!.byteLength, 0));
    expect(notes).toEqual([]);
  });

  it('are staged on the small board, some of them', () => {
    const { totals } = use({ description: SMALL }).placement;
    expect(totals.staged.tensors).toBeGreaterThan(2);
    expect(totals.resident.tensors).toBeGreaterThan(3);
  });

  it('may be resident here and staged there: what is kept is the same', () => {
    use();
    expect(use({ description: SMALL }).weights.packed).toBe(0);
    expect(packedFiles()).toHaveLength(1);
  });

  it('of another layout or another model are not taken', () => {
    use();
    const other = use({ description: { ...Z1, capacity: { ...Z1.capacity, weightBlocks: 512 } } });
    expectSameBitsOfAll(other.logits, expected);
    expect(other.weights.read).toBe(0);
    expect(use({ keep: keepIn({}, 'b'.repeat(64)) }).weights.read).toBe(0);
    expect(packedFiles()).toHaveLength(3);
    expect(notes).toEqual([]);
  });

  it('of some layers are not taken for those of others that are as large', () => {
    const deep = syntheticGguf(() => GgmlType.Q3_K, { layers: 4 });
    const hidden = Float32Array.from({ length: 256 }, (_, i) => Math.sin(i));
    const open = lastingBoard();
    const leftBy = (from: number, keep: KeepWeights | undefined) => {
      const board = keep === undefined ? openMockBoard(Z1) : open();
      const accelerator = new Accelerator(board);
      const model = loadModel(deep, { accelerator, range: { from, to: from + 1 }, keep });
      const columns = [{ cache: model.newCache(), token: 1, position: 0 }];
      model.extend(columns);
      const left = model.compute(columns, hidden);
      const { weights } = model;
      model.close();
      accelerator.close();
      board.close();
      return { left, packed: weights.packed };
    };
    for (const from of [1, 2]) {
      const kept = leftBy(from, keepIn());
      expect(kept.left).toEqual(leftBy(from, undefined).left);
      expect(kept.packed).toBeGreaterThan(100_000);
      expect(leftBy(from, keepIn())).toEqual({ left: kept.left, packed: 0 });
    }
    expect(leftBy(1, undefined).left).not.toEqual(leftBy(2, undefined).left);
    expect(packedFiles()).toHaveLength(2);
  });

  it('of a foreign file with the right name are not taken, and the file is made right', () => {
    use({ keep: keepIn({}, 'b'.repeat(64)) });
    const [foreign] = packedFiles();
    use();
    const [own] = packedFiles();
    volume.copyFileSync(foreign, own);
    expect(use().weights.read).toBe(0);
    expect(notes).toEqual([expect.stringMatching(/packed anew: it is of another model/)]);
    expect(use().weights.packed).toBe(0);
  });

  it.each([
    ['resident', Z1],
    ['partly staged', SMALL],
  ])('are packed anew where the file is damaged, with a word, and once: %s', (_, description) => {
    const { weights } = use({ description });
    const [path] = packedFiles();
    const { size } = volume.statSync(path);
    // Some bytes between tensors belong to none.
    for (let at = 4096; at < size; at += 40_009) {
      flip(path, at);
      notes = [];
      const repaired = use({ description });
      expectSameBitsOfAll(repaired.logits, expected);
      expect(repaired.weights.packed + repaired.weights.read).toBe(weights.packed);
      expect(notes).toHaveLength(repaired.weights.packed > 0 ? 1 : 0);
      expect(use({ description }).weights.packed).toBe(0);
    }
  });

  it('are packed anew where the file was cut off', () => {
    use();
    const [path] = packedFiles();
    volume.truncateSync(path, 200_000);
    const { logits, weights } = use();
    expectSameBitsOfAll(logits, expected);
    expect(weights.packed).toBeGreaterThan(0);
    expect(weights.read).toBeGreaterThan(0);
    expect(use().weights.packed).toBe(0);
  });

  it.each([
    ['resident', Z1],
    ['partly staged', SMALL],
  ])('are not kept on a full disk, and the model loads all the same: %s', (_, description) => {
    let room = 300_000;
    const write = createFsFromVolume(volume).writeSync as unknown as PackedFs['writeSync'];
    const writeSync: PackedFs['writeSync'] = (...args) => {
      room -= args[3];
      if (room < 0)
        throw Object.assign(new Error('ENOSPC: no space left on device, write'), { code: 'ENOSPC' });
      return write(...args);
    };
    const { logits } = use({ description, keep: keepIn({ writeSync }) });
    expectSameBitsOfAll(logits, expected);
    expect(notes).toEqual([expect.stringMatching(/not kept.*ENOSPC/)]);
    expect(packedFiles()).toEqual([]);
  });

  it('are not kept where there is too little room, and nothing is written', () => {
    expectSameBitsOfAll(use({ keep: { ...keepIn(), roomBytes: 1000 } }).logits, expected);
    expect(notes).toEqual([expect.stringMatching(/not kept.*1000 are free/)]);
    expect(packedFiles()).toEqual([]);
  });

  it('do not count where the load was killed before the end', () => {
    const write = createFsFromVolume(volume).writeSync as unknown as PackedFs['writeSync'];
    const killed = keepIn({
      // A kill before the table is written.
      writeSync: (...args) => (args[4] === 0 ? args[3] : write(...args)),
    });
    use({ keep: killed });
    const { weights, logits } = use();
    expectSameBitsOfAll(logits, expected);
    expect(weights.read).toBe(0);
    expect(notes).toEqual([expect.stringMatching(/packed anew/)]);
  });

  it('staged ones are packed for each use where the file fails meanwhile', () => {
    use({ description: SMALL });
    const accelerator = new Accelerator(openMockBoard(SMALL));
    const model = loadModel(gguf, { accelerator, keep: keepIn() });
    expect(model.weights.packed).toBe(0);
    volume.truncateSync(packedFiles()[0], 4096);
    expectSameBitsOfAll(logitsOf(model, TOKENS), expected);
    expect(notes.length).toBeGreaterThan(0);
    model.close();
    accelerator.close();
  });
});

describe('staged weights', () => {
  /** A file whose contents may change under a loaded model. */
  function failing() {
    const bytes = new Uint8Array(gguf.source.size);
    gguf.source.readInto(0, bytes);
    return { bytes, file: openGguf(bytesSource(bytes)) };
  }

  it('that the packed file has otherwise than it had are packed from the model, and it is told', () => {
    use({ description: SMALL });
    const accelerator = new Accelerator(openMockBoard(SMALL));
    const model = loadModel(gguf, { accelerator, keep: keepIn() });
    const [path] = packedFiles();
    const packed = volume.readFileSync(path) as Buffer;
    for (let at = 4096; at < packed.length; at += 512) packed[at] ^= 0x10;
    volume.writeFileSync(path, packed);
    expectSameBitsOfAll(logitsOf(model, TOKENS), expected);
    expect(notes.join()).toMatch(/is not what was loaded/);
    model.close();
    accelerator.close();
    expect(use({ description: SMALL }).weights.packed).toBeGreaterThan(0);
  });

  it.each([
    ['kept', keepIn],
    ['not kept', () => undefined],
  ])('that nobody has as they were end in an error, not in other bits: %s', (_, keep) => {
    const { bytes, file } = failing();
    const accelerator = new Accelerator(openMockBoard(SMALL));
    const model = loadModel(file, { accelerator, keep: keep() });
    expectSameBitsOfAll(logitsOf(model, TOKENS), expected);
    for (const path of keep() === undefined ? [] : packedFiles()) volume.truncateSync(path, 4096);
    const before = bytes.slice();
    for (const { name, byteOffset, byteLength } of file.tensors.values())
      if (name.includes('ffn')) bytes.subarray(byteOffset, byteOffset + byteLength).fill(0x5a);
    expect(() => logitsOf(model, TOKENS)).toThrow(expect.objectContaining({ code: 'DRIVER_STAGED_WEIGHTS' }));
    bytes.set(before);
    expectSameBitsOfAll(logitsOf(model, TOKENS), expected);
    model.close();
    accelerator.close();
  });
});

describe('weights that lie in memory already', () => {
  /** Where the tensors of the model lie, which the manifest says: the first is behind the driver's own buffers. */
  const poke = (open: ReturnType<typeof lastingBoard>, address: number) => {
    const board = open();
    const buffer = board.allocate(64, { at: address - (address % 64) });
    const bytes = new Uint8Array(64);
    buffer.read(0, bytes);
    bytes[address % 64] ^= 1;
    buffer.write(0, bytes);
    buffer.giveToDevice();
    buffer.free();
    board.close();
  };
  /** Address of the middle of what the model takes. */
  const middle = ({ placement }: ReturnType<typeof use>) =>
    Z1.dmaMemory[0].base + placement.dmaMemory.working + placement.totals.resident.bytes / 2;

  it('are found by the next process, which reads no file, with the same bits', () => {
    const open = lastingBoard();
    const fresh = use({ open });
    const { file, read } = counted();
    const again = use({ open, file, keep: { model: MODEL, say: (note) => notes.push(note) } });
    expectSameBitsOfAll(again.logits, expected);
    expect(again.weights).toEqual({ packed: 0, read: 0, found: fresh.weights.packed });
    expect(read.bytes).toBe(0);
  });

  it('are not looked for where memory does not last', () => {
    const memory = { ...testMemory(Z1.dmaMemory), keepsMemory: false };
    const open = () => openMockBoard(Z1, { memory });
    use({ open });
    expect(use({ open }).weights.found).toBe(0);
  });

  it('are believed a tensor at a time: one that was changed is read again', () => {
    const open = lastingBoard();
    const fresh = use({ open });
    poke(open, middle(fresh));
    const repaired = use({ open });
    expectSameBitsOfAll(repaired.logits, expected);
    expect(repaired.weights.read).toBeGreaterThan(0);
    expect(repaired.weights.read + repaired.weights.found).toBe(fresh.weights.packed);
    expect(use({ open }).weights).toEqual({ packed: 0, read: 0, found: fresh.weights.packed });
  });

  it('are not believed where the manifest is damaged anywhere', () => {
    const open = lastingBoard();
    use({ open });
    for (const at of [0, 9, 40, 50, 80, 81, 100, 300]) {
      poke(open, Z1.dmaMemory[0].base + at);
      notes = [];
      const { logits, weights } = use({ open });
      expectSameBitsOfAll(logits, expected);
      expect(weights.found).toBe(0);
      expect(notes).toEqual([expect.stringMatching(/no weights of this model are in DMA memory: it/)]);
    }
  });

  it('are not those of another model', () => {
    const open = lastingBoard();
    use({ open });
    expect(use({ open, keep: keepIn({}, 'b'.repeat(64)) }).weights.found).toBe(0);
    expect(use({ open }).weights.found).toBe(0);
  });

  it('do not count once a load that overwrites them has begun', () => {
    const open = lastingBoard();
    use({ open });
    const board = open();
    const accelerator = new Accelerator(board);
    let loads = 0;
    const onProgress = () => {
      if (++loads === 3) throw new Error('stopped');
    };
    const other = keepIn({}, 'c'.repeat(64));
    expect(() => loadModel(gguf, { accelerator, keep: other, onProgress })).toThrow('stopped');
    accelerator.close();
    expect(use({ open }).weights.found).toBe(0);
  });

  it('lie elsewhere where something is in their way', () => {
    const open = lastingBoard();
    const fresh = use({ open });
    const at = Math.floor(middle(fresh) / 64) * 64;
    const taken = () => {
      const board = open();
      board.allocate(64, { at });
      return board;
    };
    const { logits, weights } = use({ open: taken });
    expectSameBitsOfAll(logits, expected);
    expect(weights.found).toBeGreaterThan(0);
    expect(weights.read).toBeGreaterThan(0);
  });

  it('are those of the first of two models, and of the second once the first is unloaded', () => {
    const open = lastingBoard();
    const accelerator = new Accelerator(open());
    const first = loadModel(gguf, { accelerator, keep: keepIn() });
    const second = loadModel(gguf, { accelerator, keep: keepIn({}, 'b'.repeat(64)) });
    second.close();
    first.close();
    accelerator.close();
    expect(use({ open }).weights.found).toBeGreaterThan(0);
    use({ open, keep: keepIn({}, 'b'.repeat(64)) });
    expect(use({ open, keep: keepIn({}, 'b'.repeat(64)) }).weights.found).toBeGreaterThan(0);
  });
});
