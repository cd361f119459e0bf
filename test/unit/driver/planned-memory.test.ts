import { describe, expect, it } from 'vitest';
import { SMALL, syntheticModel } from '../../../bench/synthetic-model.js';
import { loadBoardDescription } from '../../../board/index.js';
import { Accelerator, workingSizes } from '../../../driver/index.js';
import { fileSource, openGguf } from '../../../gguf/index.js';
import { loadModel, modelShape, stageMemory } from '../../../llm/index.js';
import { openMockBoard } from '../../../mock-device/index.js';
import { expectSameBits } from '../llm/same-bits.js';

const Z1 = loadBoardDescription('pynq-z1');

describe('DMA memory of a driver that knows what will be loaded', () => {
  const gguf = openGguf(fileSource(syntheticModel(SMALL)));
  const { working, dma } = stageMemory(modelShape(gguf), { from: 0, to: 2 }, Z1, { contextLength: 64 }, 0);
  const logitsOf = (accelerator: Accelerator) => {
    const model = loadModel(gguf, { accelerator, contextLength: 64 });
    const logits = new Float32Array(model.config.vocabSize);
    const cache = model.newCache();
    model.forward(
      Array.from({ length: 64 }, (_, i) => ({
        cache,
        token: i + 1,
        position: i,
        ...(i === 63 && { logits }),
      })),
    );
    model.close();
    return logits;
  };

  it('is less, with the same bits', () => {
    expect(workingSizes(Z1, working).total).toBeLessThan(workingSizes(Z1).total / 4);
    const [usual, planned] = [undefined, working].map((plan) => new Accelerator(openMockBoard(Z1), { plan }));
    expectSameBits(logitsOf(planned!), logitsOf(usual!));
    planned!.close();
    usual!.close();
  });

  it('is what the sum of a stage says, to the byte', () => {
    const board = openMockBoard(Z1);
    const accelerator = new Accelerator(board, { plan: working });
    const model = loadModel(gguf, { accelerator, contextLength: 64 });
    const { total, free } = board.dmaMemory();
    expect(total - free).toBe(dma.need);
    model.close();
    accelerator.close();
  });

  it('has no room for staged weights, and refuses them', () => {
    const accelerator = new Accelerator(openMockBoard(Z1), { plan: working });
    const tensor = gguf.tensors.get('blk.0.attn_q.weight')!;
    const readRows = (row: number, count: number, into: Uint8Array) =>
      gguf.readTensor(tensor, row, count, into);
    expect(() => accelerator.load({ ...tensor, readRows }, 'staged')).toThrow(/no staging buffers/);
    accelerator.close();
  });
});
