import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import { openBoard } from '../../../agent/boards/open-board.js';
import { readModelToPlan } from '../../../agent/plan-on-board.js';
import { DeviceService } from '../../../agent/worker/device-service.js';
import type { DeviceMethod, DeviceParams } from '../../../agent/worker-link/methods.js';
import { Accelerator } from '../../../driver/index.js';
import { type ByteSource, openGguf } from '../../../gguf/index.js';
import { modelShape } from '../../../llm/index.js';
import { tinyLlama, writeTinyLlama } from '../llm/memory/sparse-model.js';

const MEBI = 2 ** 20;
const SETTINGS = { contextLength: 128, staged: false };
const MODEL = 'a'.repeat(64);

// What a refusal leaves undone is what makes it cheap on a board.
describe('a model that does not fit DMA memory', () => {
  const scratch = mkdtempSync(join(tmpdir(), 'pynq-llm-test-'));
  const path = join(scratch, 'tinyllama-Q3_K_S.gguf');
  const started = vi.fn();
  const planned = vi.spyOn(Accelerator.prototype, 'plan');
  let service: DeviceService;

  beforeAll(() => {
    writeTinyLlama(path);
    service = new DeviceService(
      openBoard('mock:pynq-z1-360'),
      {
        scratch: join(scratch, 'traces'),
        kv: {},
        clientWeights: new Map(),
        systemMemory: () => ({ available: 60 * MEBI, source: 'the test', uploads: 8 * MEBI, isMock: false }),
      },
      {
        onEvent: () => {},
        onProgress: () => {},
        onNote: () => {},
        onStage: () => {},
        onAnswer: () => {},
        programs: { start: started, end: () => {} },
      },
    );
  });
  afterEach(() => {
    started.mockClear();
    planned.mockClear();
  });
  afterAll(() => {
    service.close();
    planned.mockRestore();
    rmSync(scratch, { recursive: true, force: true });
  });

  function refusal<M extends DeviceMethod>(method: M, params: DeviceParams<M>): unknown {
    const free = service.dmaMemory;
    try {
      service.answer({ kind: 'call', id: 1, session: 1, method, params });
    } catch (error) {
      expect(service.dmaMemory).toEqual(free);
      return error;
    }
    throw new Error('it was not refused');
  }

  it('is refused by its shapes without being placed, and without a thread', () => {
    const { model, tensors } = readModelToPlan(tinyLlama());
    const params = { model, tensors: [...tensors], ...SETTINGS, alone: true, refuse: true };
    expect(refusal('models.plan', params)).toMatchObject({
      code: 'LLM_MEMORY_DMA',
      message: expect.stringMatching(/^ {2}this model's weights +456\.3$/m),
    });
    expect(planned).not.toHaveBeenCalled();
    expect(started).not.toHaveBeenCalled();
  });

  it('is refused by its header before its tokenizer is looked at', () => {
    const kind = Buffer.from('tokenizer.ggml.model');
    const bytes = readFileSync(path).subarray(0, 4 * MEBI);
    const at = bytes.indexOf(kind) + kind.length + 4 + 8;
    expect(bytes.subarray(at, at + 5).toString()).toBe('llama');
    bytes.write('other', at);
    writeTinyLlama(path, undefined, bytes);
    expect(refusal('models.load', { ...SETTINGS, model: MODEL, path, packed: undefined })).toMatchObject({
      code: 'LLM_MEMORY_DMA',
    });
    expect(planned).not.toHaveBeenCalled();
  });

  it('is not read beyond its header, and that once', () => {
    const { size, readInto } = tinyLlama();
    let read = 0;
    const counting: ByteSource = {
      size,
      readInto: (offset, into) => {
        read += into.length;
        readInto(offset, into);
      },
    };
    const gguf = openGguf(counting);
    const afterHeader = Math.min(...[...gguf.tensors.values()].map(({ byteOffset }) => byteOffset));
    modelShape(gguf);
    // By windows of a MiB.
    expect(read).toBeLessThan(afterHeader + MEBI);
  });
});
