import { describe, expect, it } from 'vitest';
import { compareBoards } from '../../../../fleet/verify/compare.js';
import { digestOf } from '../../../../fleet/verify/self-check.js';
import type { FleetBoardReport } from '../../../../protocol/index.js';

const MODEL = 'a'.repeat(64);
const board = (name: string, more: Partial<FleetBoardReport> = {}): FleetBoardReport => ({
  name,
  agent: '1.0.0',
  node: 'v20.20.2',
  platform: 'linux arm',
  description: { name: 'pynq-z1', digest: '1'.repeat(64) },
  models: [{ model: MODEL, state: 'loaded' }],
  generations: [{ model: MODEL, tokens: 8, digest: '2'.repeat(64) }],
  roundTripsMs: [1],
  ...more,
});
const compare = (...boards: FleetBoardReport[]) =>
  compareBoards(boards, { version: '1.0.0', models: [MODEL] }).map(
    ({ board: name, what }) => `${name} ${what}`,
  );

describe('boards that are compared', () => {
  it('are alike where all they say is', () => {
    expect(compare(board('one'), board('two'), board('three'))).toEqual([]);
  });

  it('may be of several kinds and processors', () => {
    const kria = { name: 'kv260', digest: '3'.repeat(64) };
    expect(compare(board('one'), board('two', { description: kria, platform: 'linux arm64' }))).toEqual([]);
  });

  it('differ in another version, description, model or bit', () => {
    const other = [{ model: MODEL, tokens: 8, digest: '4'.repeat(64) }];
    expect(
      compare(
        board('one'),
        board('two', { agent: '1.0.1' }),
        board('three', { description: { name: 'pynq-z1', digest: '5'.repeat(64) } }),
        board('four', { models: [], generations: [] }),
        board('five', { models: [{ model: MODEL, state: 'failed' }], generations: [] }),
        board('six', { generations: other }),
      ),
    ).toEqual(['two version', 'three description', 'four models', 'five models', 'six generation']);
  });

  it('differ where one did not answer, or could not generate', () => {
    const failed = [{ model: MODEL, tokens: 2, error: 'DRIVER_TIMEOUT' }];
    expect(
      compare(board('one'), { name: 'two', models: [], generations: [], roundTripsMs: [], error: 'silent' }),
    ).toEqual(['two answer']);
    expect(compare(board('one', { generations: failed }), board('two'))).toEqual(['one generation']);
  });

  it('differ in a single bit of a log-probability, also where it shows in no text', () => {
    const token = { type: 'token' as const, index: 0, id: 5, text: 'a', logprob: -0.5 };
    const next = new Float64Array([-0.5]);
    new BigUint64Array(next.buffer)[0]! += 1n;
    expect(digestOf([token])).toBe(digestOf([{ ...token }]));
    expect(digestOf([{ ...token, logprob: next[0]! }])).not.toBe(digestOf([token]));
    expect(digestOf([{ ...token, top: [[5, -0.5]] }])).not.toBe(digestOf([token]));
  });
});
