import { describe, expect, it } from 'vitest';
import { loadBoardDescription } from '../../../../board/index.js';
import { planLinked } from '../../../../fleet/index.js';
import { refusalOf, TINY_LLAMA } from '../models.js';

const description = { ...loadBoardDescription('pynq-z1-256'), timing: 'systemc' as const };
const links = { host: '192.168.2.2', port: 7790, fingerprint: 'AA:BB' };
const board = (name: string, linked = true) => ({ name, description, links: linked ? links : undefined });

describe('a cut by rows over boards with links', () => {
  it('is planned where the measured round trip pays, and refused with the figures where not', () => {
    const boards = [board('a'), board('b')];
    expect(planLinked(TINY_LLAMA, [boards], { roundTripOf: () => 0.2 }).gain).toBeGreaterThan(1.8);
    const { code, message } = refusalOf(() => planLinked(TINY_LLAMA, [boards], { roundTripOf: () => 20 }));
    expect(code).toBe('FLEET_TENSOR_DOES_NOT_PAY');
    expect(message).toMatch(/at a round trip of 20 ms/);
  });

  it('is refused where boards have none, with their names', () => {
    const boards = [board('a'), board('b', false), board('c', false)];
    const { code, message } = refusalOf(() => planLinked(TINY_LLAMA, [boards], { roundTripOf: () => 0.2 }));
    expect(code).toBe('FLEET_LINKS_OFF');
    expect(message).toMatch(/b, c have no links/);
  });
});
