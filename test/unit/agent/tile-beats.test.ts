import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { openBoard } from '../../../agent/boards/open-board.js';
import { DeviceService } from '../../../agent/worker/device-service.js';
import type { DeviceMethod, DeviceParams } from '../../../agent/worker-link/methods.js';
import { TINY_STORIES } from '../llm/models.js';

it('tells of each tile that the device has computed, so that a long step is no hang', () => {
  const scratch = mkdtempSync(join(tmpdir(), 'pynq-llm-test-'));
  let beats = 0;
  const service = new DeviceService(
    openBoard('mock:'),
    {
      scratch,
      kv: {},
      clientWeights: new Map(),
      systemMemory: () => ({ available: 2 ** 34, source: 'the test', uploads: 0, isMock: true }),
      onTile: () => beats++,
    },
    {
      onEvent: () => {},
      onProgress: () => {},
      onNote: () => {},
      onStage: () => {},
      onAnswer: () => {},
      programs: { start: () => {}, end: () => {} },
    },
  );
  const call = <M extends DeviceMethod>(method: M, params: DeviceParams<M>) =>
    service.answer({ kind: 'call', id: 1, session: 1, method, params });
  try {
    const model = 'a'.repeat(64);
    const { placement } = call('models.load', { model, path: TINY_STORIES, packed: undefined })!;
    const matrices = placement.tensors.filter(({ placement: place }) => place === 'resident').length;
    call('generate.start', {
      generation: '1'.repeat(32),
      model,
      prompt: { tokens: [1, 2, 3] },
      sampling: { maxTokens: 2, ignoreEos: true },
      window: 8,
      client: ['a test'],
    });
    service.models.grant('1'.repeat(32), 8);
    for (let slices = 0; !service.models.hasWork && slices < 100; slices++) service.models.texts.slice();
    service.models.step();
    expect(matrices).toBeGreaterThan(10);
    expect(beats).toBeGreaterThanOrEqual(matrices);
  } finally {
    service.close();
    rmSync(scratch, { recursive: true, force: true });
  }
});
