import { describe, expect, it } from 'vitest';
import { RegisterMailbox } from '../../../agent/worker-link/register-mailbox.js';

const PLACES = [
  { window: 0, offset: 4 },
  { window: 2, offset: 8 },
];
const read = ({ window, offset }: { window: number; offset: number }) => 0xf000_0000 + window * 256 + offset;
const VALUES = [0xf000_0004, 0xf000_0208];

/** The two ends of a lane, and what the worker's end posted. */
function lane() {
  const main = new RegisterMailbox();
  const worker = new RegisterMailbox(main.shared);
  const posted: unknown[] = [];
  const answer = (from = read) => worker.answer(from, (call, message) => posted.push([call, message]));
  return { main, worker, posted, answer };
}

describe('the short way for register reads', () => {
  it('brings the values back', () => {
    const { main, worker, answer } = lane();
    expect(worker.isAsked).toBe(false);
    expect(main.ask(1, PLACES)).toBe(true);
    expect(worker.isAsked).toBe(true);
    answer();
    expect(worker.isAsked).toBe(false);
    expect(main.look()).toEqual(VALUES);
    expect(main.ask(2, PLACES)).toBe(true);
  });

  it('hands a late answer over to a message', () => {
    const { main, posted, answer } = lane();
    main.ask(7, PLACES);
    expect(main.look()).toBeUndefined();
    expect(main.ask(8, PLACES)).toBe(false);
    answer();
    expect(posted).toEqual([[7, { values: VALUES }]]);
    expect(main.ask(8, PLACES)).toBe(true);
  });

  it.each([
    ['before', true],
    ['after', false],
  ])('hands an error over to a message, %s the main thread looked', (_, early) => {
    const { main, posted, answer } = lane();
    const error = new Error('bus error');
    main.ask(7, PLACES);
    if (!early) expect(main.look()).toBeUndefined();
    answer(() => {
      throw error;
    });
    if (early) expect(main.look()).toBeUndefined();
    expect(posted).toEqual([[7, { error }]]);
    expect(main.ask(8, PLACES)).toBe(true);
  });

  it('takes no long batches', () => {
    expect(lane().main.ask(1, Array(65).fill(PLACES[0]))).toBe(false);
  });
});
