import { describe, expect, it } from 'vitest';
import { didYouMean, nearestName } from '../../../errors/index.js';

describe('the nearest name', () => {
  it.each([
    ['dma0.MM2S_DMASRR', 'dma0.MM2S_DMASR'],
    ['dma0.mm2s_dmasr', 'dma0.MM2S_DMASR'],
    ['dma0.MM2S_DMARS', 'dma0.MM2S_DMASR'],
    ['contorl', 'control'],
    ['something else', undefined],
    ['x', undefined],
    ['', undefined],
  ])('to %j is %j', (name, nearest) => {
    expect(nearestName(name, ['dma0.MM2S_DMASR', 'dma0.S2MM_DMACR', 'control'])).toBe(nearest);
  });

  it('is asked for as a question, where there is one', () => {
    expect(didYouMean('kv261', ['kv260', 'pynq-z1'])).toBe(' Did you mean "kv260"?');
    expect(didYouMean('nothing', ['kv260', 'pynq-z1'])).toBe('');
  });

  it('takes no time for a name of any length', () => {
    const names = Array.from({ length: 500 }, (_, i) => `name-${i}`.padEnd(64, 'x'));
    const started = performance.now();
    nearestName('y'.repeat(1_000_000), names);
    expect(performance.now() - started).toBeLessThan(5_000);
  });
});
