import { describe, expect, it } from 'vitest';
import { SMALL, syntheticModel } from '../../../../bench/synthetic-model.js';
import { loadBoardDescription } from '../../../../board/index.js';
import { Accelerator, type MatMulProgram } from '../../../../driver/index.js';
import { computeTensor, DEFAULT_LINK, fleetModel, planTensor } from '../../../../fleet/index.js';
import { fileSource, openGguf, quantizeQ8K, SUPER_BLOCK } from '../../../../gguf/index.js';
import { rowsOf, wireBytes } from '../../../../llm/index.js';
import { openMockBoard } from '../../../../mock-device/index.js';
import { expectSameBits } from '../../llm/same-bits.js';
import { boardsOf, IN_F16, refusalOf, TINY_LLAMA } from '../models.js';

const LINK = DEFAULT_LINK;

describe('a model cut by rows', () => {
  it.each([2, 3, 4, 5, 8])(
    'over %i boards has every row of every matrix, and keys and values of every head',
    (count) => {
      const { boards } = computeTensor(TINY_LLAMA, boardsOf(count, 'pynq-z1'), { link: LINK });
      const { headDim, heads, kvHeads } = TINY_LLAMA.memory;
      for (const { name, rows } of TINY_LLAMA.memory.matrices) {
        const covered = new Array<number>(rows).fill(0);
        for (const { share } of boards) {
          const { first, count: own } = rowsOf(name, share, headDim);
          for (let row = first; row < first + own; row++) covered[row]!++;
        }
        expect(covered.every((times) => times >= 1)).toBe(true);
        // Keys and values of a head may be where several boards have queries for them; all else is computed once.
        if (!/attn_[kv]/.test(name)) expect(covered.every((times) => times === 1)).toBe(true);
      }
      for (const { share } of boards) {
        const needs = (head: number) => Math.floor(head / (heads / kvHeads));
        expect(share.kvHeads.first).toBeLessThanOrEqual(needs(share.heads.first));
        expect(share.kvHeads.first + share.kvHeads.count).toBeGreaterThan(
          needs(share.heads.first + share.heads.count - 1),
        );
      }
    },
  );

  it('computes the bits of the whole, on cores that have their rows alone', () => {
    const gguf = openGguf(fileSource(syntheticModel(SMALL)));
    const { boards } = computeTensor(fleetModel(gguf), boardsOf(3, 'pynq-z1'), { link: LINK });
    const accelerator = new Accelerator(openMockBoard(loadBoardDescription('pynq-z1')));
    const run = (name: string, first: number, rows: number) => {
      const tensor = gguf.tensors.get(name)!;
      const program: MatMulProgram = accelerator.load(
        {
          ...tensor,
          rows,
          readRows: (row: number, count: number, into: Uint8Array) =>
            gguf.readTensor(tensor, first + row, count, into),
        },
        'resident',
      );
      const input = Float32Array.from({ length: tensor.columns }, (_, i) => ((i * 37) % 101) / 50 - 1);
      const results = new Float32Array(rows);
      accelerator.multiply([program], 1, (blocks) => quantizeQ8K(input, 0, input.length, blocks, 0), [
        results,
      ]);
      accelerator.unload(program);
      return results;
    };
    for (const name of ['attn_q', 'attn_output', 'ffn_up', 'ffn_down'].map((one) => `blk.1.${one}.weight`)) {
      const { rows } = gguf.tensors.get(name)!;
      const parts = boards.map(({ share }) => {
        const { first, count } = rowsOf(name, share, fleetModel(gguf).memory.headDim);
        return run(name, first, count);
      });
      const together = new Float32Array(rows);
      let at = 0;
      for (const part of parts) {
        together.set(part, at);
        at += part.length;
      }
      expectSameBits(together, run(name, 0, rows));
    }
    accelerator.close();
  });

  it('sends Q8_K only where whole super-blocks are on a board, a quarter of the bytes and a little more', () => {
    expect(wireBytes(SUPER_BLOCK, 'q8')).toBe(292);
    expect(wireBytes(SUPER_BLOCK, 'f32')).toBe(1024);
    const { attended, inner, boards } = computeTensor(TINY_LLAMA, boardsOf(5, 'pynq-z1'), { link: LINK });
    const heads = boards.every(
      ({ share }) => (share.heads.count * TINY_LLAMA.memory.headDim) % SUPER_BLOCK === 0,
    );
    expect(attended === 'q8').toBe(heads);
    if (inner === 'q8') for (const { share } of boards) expect(share.feedForward.count % SUPER_BLOCK).toBe(0);
  });

  it('is refused where exchanges cost more than it gains, with a round trip from which on it pays', () => {
    const boards = boardsOf(2, 'pynq-z1-256').map((board) => ({ ...board, timing: 'systemc' as const }));
    const plan = (roundTripMs: number) => planTensor(TINY_LLAMA, boards, { link: { ...LINK, roundTripMs } });
    expect(plan(0.2).gain).toBeGreaterThan(1.8);
    const { code, message } = refusalOf(() => plan(20));
    expect(code).toBe('FLEET_TENSOR_DOES_NOT_PAY');
    const pays = Number(/from a round trip of ([\d.]+) ms down/.exec(message)?.[1]);
    expect(plan(pays).gain).toBeGreaterThan(1);
  });

  it('is cut evenly where the core takes nothing of it, and pays nowhere', () => {
    const plan = computeTensor(IN_F16, boardsOf(2, 'pynq-z1'), { link: LINK });
    expect(plan.boards.map(({ share }) => share.heads.count)).toEqual([16, 16]);
    expect(plan.boards.every(({ memory }) => memory.dma.need > 0)).toBe(true);
    expect(plan).toMatchObject({ coreMs: 0, aloneMs: 0, gain: 0 });
    const { code, message } = refusalOf(() => planTensor(IN_F16, boardsOf(8, 'kv260'), { link: LINK }));
    expect(code).toBe('FLEET_TENSOR_DOES_NOT_PAY');
    expect(message).toMatch(/The core takes none of its matrices/);
  });

  it('is refused where memory is short, and over one board or nine', () => {
    const on = (count: number, name: string) =>
      refusalOf(() => planTensor(TINY_LLAMA, boardsOf(count, name), { link: LINK })).code;
    expect(on(2, 'pynq-z1-128')).toBe('FLEET_TENSOR_DOES_NOT_FIT');
    expect(on(1, 'pynq-z1-256')).toBe('FLEET_TENSOR_UNSUPPORTED');
    expect(on(9, 'pynq-z1-128')).toBe('FLEET_TENSOR_UNSUPPORTED');
  });
});
