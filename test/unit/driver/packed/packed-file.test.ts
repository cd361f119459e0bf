import { createFsFromVolume, Volume } from 'memfs';
import { beforeEach, describe, expect, it } from 'vitest';
import { PackedFile, type PackedFs } from '../../../../driver/packed/packed-file.js';

const PATH = '/packed/model';
const KEY = new Uint8Array(32).fill(7);
const SIZES = [128, 0, 5000];
const CHECKSUM = Uint8Array.from({ length: 16 }, (_, i) => i);

let volume: Volume;
let notes: string[];
beforeEach(() => {
  volume = Volume.fromJSON({ '/packed/other': 'x' });
  notes = [];
});

/** memfs, with some functions replaced. */
function files(change: Partial<PackedFs> = {}): PackedFs {
  return { ...(createFsFromVolume(volume) as unknown as PackedFs), ...change };
}

function open({ key = KEY, sizes = SIZES, roomBytes = 1e9, fs = files() } = {}) {
  return PackedFile.open({ path: PATH, roomBytes, fs }, key, sizes, (note) => notes.push(note));
}

function bytesOf(index: number): Uint8Array {
  return Uint8Array.from({ length: SIZES[index] }, (_, i) => i * (index + 3));
}

/** Both tensors written, as while a model is loaded. */
function written(): void {
  const file = open()!;
  for (const index of [0, 2]) {
    file.write(index, 0, bytesOf(index));
    file.wrote(index, SIZES[index], CHECKSUM);
  }
  file.finish();
  file.close();
}

function content(): Buffer {
  return volume.readFileSync(PATH) as Buffer;
}

describe('a file of packed weights', () => {
  it('gives back what was written, to whoever opens it next', () => {
    written();
    const file = open()!;
    const into = new Uint8Array(5000);
    expect([file.has(0), file.has(1), file.has(2)]).toEqual([true, false, true]);
    expect(file.checksum(2)).toEqual(CHECKSUM);
    expect(file.read(2, 0, into)).toBe(true);
    expect(into).toEqual(bytesOf(2));
    expect(file.read(0, 64, into.subarray(0, 64))).toBe(true);
    expect(into.subarray(0, 64)).toEqual(bytesOf(0).subarray(64));
    expect(notes).toEqual([]);
    expect(content().length % 4096).toBe(5000 % 4096);
  });

  it('does not count before its table is written, as after a kill', () => {
    const file = open()!;
    file.write(0, 0, bytesOf(0));
    file.wrote(0, SIZES[0], CHECKSUM);
    file.close();
    expect(open()!.has(0)).toBe(false);
    expect(notes).toEqual([expect.stringContaining('packed anew')]);
  });

  it('keeps a tensor that is there when another is missing', () => {
    const file = open()!;
    file.write(0, 0, bytesOf(0));
    file.wrote(0, SIZES[0], CHECKSUM);
    file.finish();
    file.close();
    const again = open()!;
    expect([again.has(0), again.has(2)]).toEqual([true, false]);
  });

  it.each([
    ['of another model', { key: new Uint8Array(32).fill(8) }],
    ['of another number of tensors', { sizes: [128, 0, 5000, 64] }],
  ])('that is %s is packed anew, and says so', (_, options) => {
    written();
    expect([0, 1, 2].map((index) => open(options)!.has(index))).toEqual([false, false, false]);
    expect(notes[0]).toMatch(/packed anew: it/);
  });

  it('with tensors of other sizes has none of them', () => {
    written();
    expect(open({ sizes: [128, 0, 4999] })!.has(2)).toBe(false);
  });

  it('whose table is damaged anywhere is packed anew, and says so', () => {
    written();
    const good = Buffer.from(content());
    for (let at = 0; at < 80 + 3 * 32; at++) {
      const bad = Buffer.from(good);
      bad[at] ^= 0x10;
      volume.writeFileSync(PATH, bad);
      notes = [];
      const file = open()!;
      expect([file.has(0), file.has(2), notes.length]).toEqual([false, false, 1]);
      file.close();
    }
  });

  it('that was cut off has what is before the cut, and no more', () => {
    written();
    const good = Buffer.from(content());
    volume.writeFileSync(PATH, good.subarray(0, 4096 + 128));
    let file = open()!;
    expect([file.has(0), file.has(2)]).toEqual([true, false]);
    volume.writeFileSync(PATH, good.subarray(0, 100));
    file = open()!;
    expect([file.has(0), file.has(2)]).toEqual([false, false]);
    expect(notes.at(-1)).toContain('too short');
  });

  it('that shrinks while it is read is not believed', () => {
    written();
    const file = open()!;
    volume.truncateSync(PATH, 4096);
    expect(file.read(2, 0, new Uint8Array(5000))).toBe(false);
    expect(file.has(2)).toBe(false);
    expect(notes[0]).toContain('shorter than it should be');
  });

  it('is not begun where there is no room for it', () => {
    expect(open({ roomBytes: 9000 })).toBeUndefined();
    expect(notes[0]).toMatch(/not kept: they need \d+ bytes, and 9000 are free/);
    expect(volume.existsSync(PATH)).toBe(false);
  });

  it('needs no room when it is there', () => {
    written();
    expect(open({ roomBytes: 5000 })?.has(2)).toBe(true);
  });

  it('is given up when the disk is full, and nothing stays of it', () => {
    const full = Object.assign(new Error('ENOSPC: no space left on device, write'), { code: 'ENOSPC' });
    const file = open({
      fs: files({
        writeSync: () => {
          throw full;
        },
      }),
    })!;
    file.write(0, 0, bytesOf(0));
    file.write(2, 0, bytesOf(2));
    file.wrote(2, SIZES[2], CHECKSUM);
    file.finish();
    file.close();
    expect(file.has(2)).toBe(false);
    expect(notes).toEqual([expect.stringContaining('ENOSPC')]);
    expect(volume.existsSync(PATH)).toBe(false);
  });

  it('is done without where the file system refuses it', () => {
    const refused = Object.assign(new Error('EROFS: read-only file system, open'), { code: 'EROFS' });
    const fs = files({
      openSync: () => {
        throw refused;
      },
    });
    expect(open({ fs })).toBeUndefined();
    expect(notes).toEqual([expect.stringContaining('EROFS')]);
  });

  it('that is removed while it is open can still be read', () => {
    written();
    const file = open()!;
    volume.unlinkSync(PATH);
    const into = new Uint8Array(128);
    expect(file.read(0, 0, into)).toBe(true);
    expect(into).toEqual(bytesOf(0));
  });
});
